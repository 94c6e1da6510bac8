"""LangChain through the gateway: start one with ``router-model serve --demo``, then run this."""

from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="auto:quality=0.9", base_url="http://127.0.0.1:8080/v1", api_key="none")

answer = model.invoke("Which of these is prime: 91, 97, 87?")
print(answer.content)
print(answer.response_metadata["model_name"])  # the model that the router picked
