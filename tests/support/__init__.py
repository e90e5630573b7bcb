"""What several tests share: tasks, stores, contracts."""
