CREATE TABLE frames ( row INTEGER PRIMARY KEY, kind INTEGER NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, rows INTEGER NOT NULL, incarnation INTEGER NOT NULL, stream INTEGER NOT NULL, first_seq INTEGER NOT NULL, end_seq INTEGER NOT NULL, body BLOB NOT NULL );
CREATE INDEX frames_by_model ON frames (model, kind, last_time);
CREATE INDEX frames_by_sequence ON frames (incarnation, stream, end_seq);
CREATE TABLE segment ( number INTEGER PRIMARY KEY, created INTEGER NOT NULL, boot TEXT NOT NULL, sealed INTEGER NOT NULL DEFAULT 0 );
CREATE TABLE streams ( incarnation INTEGER NOT NULL, stream INTEGER NOT NULL, end_seq INTEGER NOT NULL, PRIMARY KEY (incarnation, stream) ) WITHOUT ROWID;
-- [1, 1430015694]
