"""The proof: real Spark jobs that are really misconfigured, and what each way of retrying makes of them."""
