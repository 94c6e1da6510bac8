"""The judge: metrics, intervals, trivial baselines, cross-validation and the report."""
