"""What shards save in Kafka: checkpoints, looking at them, a file of them, beginning anew, more partitions."""
