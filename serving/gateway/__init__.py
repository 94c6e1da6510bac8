"""The gateway: any OpenAI or Anthropic client in front, providers behind, the router beside the dispatch."""
