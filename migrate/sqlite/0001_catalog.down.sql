DROP TABLE uploads;
DROP TABLE sources;
DROP TABLE spaces;
DROP TABLE counters;
