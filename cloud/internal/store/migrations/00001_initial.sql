-- +goose Up
-- Times are milliseconds since 1970, UTC. Lanes are the names of the contract.
CREATE TABLE devices (
    device     TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL DEFAULT '',
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    status     BLOB              -- the last full status as a message of the contract
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    device     TEXT    NOT NULL REFERENCES devices (device),
    epoch      TEXT    NOT NULL,
    lane       TEXT    NOT NULL,
    acked      INTEGER NOT NULL DEFAULT 0, -- all up to it are stored or in holes
    max_seq    INTEGER NOT NULL DEFAULT 0, -- the highest stored
    oldest     INTEGER NOT NULL DEFAULT 0, -- the highest Oldest the board told
    conflicts  INTEGER NOT NULL DEFAULT 0, -- rows in conflicts
    first_seen INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
    device    TEXT    NOT NULL,
    epoch     TEXT    NOT NULL,
    lane      TEXT    NOT NULL,
    seq       INTEGER NOT NULL CHECK (seq > 0),
    type      TEXT    NOT NULL,
    point     TEXT    NOT NULL,
    time      INTEGER,           -- NULL: the board did not know
    clock     TEXT    NOT NULL,
    boot      TEXT    NOT NULL,
    mono      INTEGER NOT NULL,
    data      TEXT,
    raw       TEXT    NOT NULL,  -- the event's JSON with its unknown fields
    stored_at INTEGER NOT NULL,
    UNIQUE (device, epoch, lane, seq),
    FOREIGN KEY (device, epoch, lane) REFERENCES streams (device, epoch, lane)
) STRICT;
CREATE INDEX events_by_device ON events (device, id);
CREATE INDEX events_alarms ON events (id) WHERE lane = 'alarm';

CREATE TABLE holes (
    device     TEXT    NOT NULL,
    epoch      TEXT    NOT NULL,
    lane       TEXT    NOT NULL,
    from_seq   INTEGER NOT NULL,
    to_seq     INTEGER NOT NULL CHECK (to_seq >= from_seq),
    reason     TEXT    NOT NULL,
    noticed_at INTEGER NOT NULL,
    PRIMARY KEY (device, epoch, lane, from_seq),
    FOREIGN KEY (device, epoch, lane) REFERENCES streams (device, epoch, lane)
) STRICT, WITHOUT ROWID;

-- Events whose number was taken by another event: evidence of a cloned board.
CREATE TABLE conflicts (
    device     TEXT    NOT NULL,
    epoch      TEXT    NOT NULL,
    lane       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    raw        TEXT    NOT NULL,
    noticed_at INTEGER NOT NULL,
    UNIQUE (device, epoch, lane, seq, raw),
    FOREIGN KEY (device, epoch, lane) REFERENCES streams (device, epoch, lane)
) STRICT;

-- +goose Down
DROP TABLE conflicts;
DROP TABLE holes;
DROP TABLE events;
DROP TABLE streams;
DROP TABLE devices;
