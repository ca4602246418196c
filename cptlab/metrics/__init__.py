"""What continual pre-training gained and lost, as numbers with units and standard errors: functions over records."""
