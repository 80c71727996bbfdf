DROP TABLE roots;
DROP TABLE nodes;
DROP TABLE segments;
DROP TABLE shards;
DROP TABLE entries;
