-- +goose Up
-- Times are milliseconds since 1970, UTC. Lanes are 0 alarm, 1 state, 2 sample.
CREATE TABLE devices (
    device     TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL DEFAULT '',
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last full status of a device as a message of the contract; apart from
-- devices, whose rows change with every batch.
CREATE TABLE statuses (
    device TEXT NOT NULL PRIMARY KEY REFERENCES devices (device),
    status BLOB NOT NULL
) STRICT;

CREATE TABLE streams (
    id         INTEGER PRIMARY KEY,
    device     TEXT    NOT NULL REFERENCES devices (device),
    epoch      TEXT    NOT NULL,
    lane       INTEGER NOT NULL,
    acked      INTEGER NOT NULL DEFAULT 0, -- all up to it are stored or in holes
    max_seq    INTEGER NOT NULL DEFAULT 0, -- the highest stored
    oldest     INTEGER NOT NULL DEFAULT 0, -- the highest Oldest the board told
    conflicts  INTEGER NOT NULL DEFAULT 0, -- rows in conflicts
    first_seen INTEGER NOT NULL,
    UNIQUE (device, epoch, lane)
) STRICT;

-- What many events have in common. Rows are never changed nor removed.
CREATE TABLE kinds (
    id    INTEGER PRIMARY KEY,
    type  TEXT NOT NULL,
    point TEXT NOT NULL,
    clock TEXT NOT NULL, -- quality of the events' time
    UNIQUE (type, point, clock)
) STRICT;

-- The runnings of a board since power-on, and the best that is known of when
-- each began. Quality is 0 unknown, 1 floor, 2 rtc, 3 city, 4 ntp.
CREATE TABLE boots (
    id         INTEGER PRIMARY KEY,
    device     TEXT    NOT NULL,
    boot       TEXT    NOT NULL,
    quality    INTEGER NOT NULL DEFAULT 0,
    base       INTEGER, -- wall time less time since boot; NULL: not known
    noticed_at INTEGER NOT NULL, -- when quality became what it is
    UNIQUE (device, boot)
) STRICT;

CREATE TABLE events (
    id        INTEGER PRIMARY KEY, -- order of arrival
    stream    INTEGER NOT NULL,    -- row of streams; Integrity checks this and the next two
    lane      INTEGER NOT NULL,    -- of the stream
    seq       INTEGER NOT NULL CHECK (seq > 0),
    kind      INTEGER NOT NULL,    -- row of kinds
    boot      INTEGER,             -- row of boots; NULL: the board did not say
    time      INTEGER,             -- NULL: the board did not know
    mono      INTEGER NOT NULL,
    data      TEXT,
    extra     TEXT,                -- the event's unknown fields, a JSON object
    stored_at INTEGER NOT NULL,
    UNIQUE (stream, seq)
) STRICT;
CREATE INDEX events_by_stream ON events (stream); -- and, as every index, by id
CREATE INDEX events_alarms ON events (id) WHERE lane = 0;

-- What spool.gap events say of numbers that acked did not get to yet: from_seq to
-- seq will not come. Stored: the spool.gap event is there in the place of seq.
CREATE TABLE gaps (
    stream   INTEGER NOT NULL REFERENCES streams (id),
    seq      INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    stored   INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE holes (
    stream     INTEGER NOT NULL REFERENCES streams (id),
    from_seq   INTEGER NOT NULL,
    to_seq     INTEGER NOT NULL CHECK (to_seq >= from_seq),
    reason     TEXT    NOT NULL,
    noticed_at INTEGER NOT NULL,
    PRIMARY KEY (stream, from_seq)
) STRICT, WITHOUT ROWID;

-- Events whose number was taken by another event: evidence of a cloned board.
CREATE TABLE conflicts (
    stream     INTEGER NOT NULL REFERENCES streams (id),
    seq        INTEGER NOT NULL,
    raw        TEXT    NOT NULL, -- the event's JSON
    noticed_at INTEGER NOT NULL,
    UNIQUE (stream, seq, raw)
) STRICT;

-- Batches that were not taken; one row of each, the latest only.
CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY,
    device      TEXT    NOT NULL, -- this and lane by the topic
    lane        INTEGER NOT NULL,
    received_at INTEGER NOT NULL, -- the last time
    reason      TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    crc         INTEGER NOT NULL, -- CRC-32C of the message
    tries       INTEGER NOT NULL,
    size        INTEGER NOT NULL, -- of the message
    payload     BLOB    NOT NULL, -- the message, or its beginning
    UNIQUE (device, crc)
) STRICT;
CREATE INDEX dead_letters_by_device ON dead_letters (device, received_at);
CREATE INDEX dead_letters_by_time ON dead_letters (received_at);

-- +goose Down
DROP TABLE dead_letters;
DROP TABLE conflicts;
DROP TABLE holes;
DROP TABLE gaps;
DROP TABLE events;
DROP TABLE boots;
DROP TABLE kinds;
DROP TABLE streams;
DROP TABLE statuses;
DROP TABLE devices;
