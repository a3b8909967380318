"""This very machine, watched through Kafka, and two disturbances that Calmstream has to find."""
