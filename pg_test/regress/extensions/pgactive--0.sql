-- That it is installed counts, and how many nodes it has.
CREATE TABLE pgactive_nodes (node_sysid text NOT NULL PRIMARY KEY);
