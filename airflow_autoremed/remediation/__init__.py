"""What is done about a failed attempt: the pipeline, the gates that every decision passes, and the reasons."""
