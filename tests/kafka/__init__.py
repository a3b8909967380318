"""Apache Kafka for the tests: fetched by Maven coordinates, run as one JVM on loopback."""
