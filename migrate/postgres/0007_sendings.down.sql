DROP TABLE sendings;
DROP TABLE space_replicas;
