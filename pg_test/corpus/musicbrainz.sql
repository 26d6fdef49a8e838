-- An encyclopedia of music in the manner of MusicBrainz: a schema of its own, SERIAL keys with a UUID
-- next to them, time zones in every time, lookup tables without a time, all references declared,
-- tables whose key refers to that of another table, trigger functions that keep counters.
CREATE SCHEMA musicbrainz;
SET search_path = musicbrainz, public;
CREATE FUNCTION b_upd_last_updated_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_updated = NOW();
    RETURN NEW;
END $$;
CREATE FUNCTION a_ins_artist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO musicbrainz.artist_meta (id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE FUNCTION inc_ref_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE musicbrainz.artist_credit SET ref_count = ref_count + 1 WHERE id = NEW.artist_credit;
    RETURN NULL;
END $$;
CREATE FUNCTION dec_ref_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE musicbrainz.artist_credit SET ref_count = ref_count - 1 WHERE id = OLD.artist_credit;
    RETURN NULL;
END $$;
CREATE TABLE area_type (
    id SERIAL,
    name VARCHAR(255) NOT NULL,
    parent INTEGER, -- references area_type.id
    child_order INTEGER NOT NULL DEFAULT 0,
    gid uuid NOT NULL
);
CREATE TABLE area (
    id SERIAL,
    gid uuid NOT NULL,
    name VARCHAR NOT NULL,
    type INTEGER, -- references area_type.id
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
    last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    ended BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE artist_type (
    id SERIAL,
    name VARCHAR(255) NOT NULL,
    parent INTEGER, -- references artist_type.id
    child_order INTEGER NOT NULL DEFAULT 0,
    gid uuid NOT NULL
);
CREATE TABLE gender (
    id SERIAL,
    name VARCHAR(255) NOT NULL,
    child_order INTEGER NOT NULL DEFAULT 0,
    gid uuid NOT NULL
);
CREATE TABLE artist (
    id SERIAL /* by hand: uuid DEFAULT public.uuidv7() NOT NULL */,
    gid uuid NOT NULL,
    name VARCHAR NOT NULL,
    sort_name VARCHAR NOT NULL,
    begin_date_year SMALLINT,
    type INTEGER, -- references artist_type.id
    area INTEGER, -- references area.id
    gender INTEGER, -- references gender.id
    comment VARCHAR(255) NOT NULL DEFAULT '',
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
    last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    ended BOOLEAN NOT NULL DEFAULT FALSE,
    CONSTRAINT group_type_implies_null_gender CHECK ((gender IS NULL AND type IN (2, 5, 6)) OR type NOT IN (2, 5, 6))
);
CREATE TABLE artist_alias (
    id SERIAL,
    artist INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id
    name VARCHAR NOT NULL,
    locale TEXT,
    sort_name VARCHAR NOT NULL,
    primary_for_locale BOOLEAN NOT NULL DEFAULT false,
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
    last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    CONSTRAINT primary_check CHECK ((locale IS NULL AND primary_for_locale IS FALSE) OR (locale IS NOT NULL))
);
CREATE TABLE artist_meta (
    id INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id CASCADE
    rating SMALLINT CHECK (rating >= 0 AND rating <= 100),
    rating_count INTEGER
);
CREATE TABLE artist_gid_redirect (
    gid UUID NOT NULL,
    new_id INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id
    created TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);
CREATE TABLE artist_credit (
    id SERIAL /* by hand: uuid DEFAULT public.uuidv7() NOT NULL */,
    name VARCHAR NOT NULL,
    artist_count SMALLINT NOT NULL,
    ref_count INTEGER DEFAULT 0,
    created TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0)
);
CREATE TABLE artist_credit_name (
    artist_credit INTEGER /* by hand: uuid */ NOT NULL, -- references artist_credit.id CASCADE
    position SMALLINT NOT NULL,
    artist INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id CASCADE
    name VARCHAR NOT NULL,
    join_phrase TEXT NOT NULL DEFAULT ''
);
CREATE TABLE recording (
    id SERIAL,
    gid UUID NOT NULL,
    name VARCHAR NOT NULL,
    artist_credit INTEGER /* by hand: uuid */ NOT NULL, -- references artist_credit.id
    length INTEGER CHECK (length IS NULL OR length > 0),
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
    last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    video BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE l_artist_recording (
    id SERIAL,
    link INTEGER NOT NULL,
    entity0 INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id
    entity1 INTEGER NOT NULL, -- references recording.id
    edits_pending INTEGER NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
    last_updated TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    link_order INTEGER NOT NULL DEFAULT 0 CHECK (link_order >= 0)
);
CREATE TABLE tag (
    id SERIAL /* by hand: uuid DEFAULT public.uuidv7() NOT NULL */,
    name VARCHAR(255) NOT NULL,
    ref_count INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE artist_tag (
    artist INTEGER /* by hand: uuid */ NOT NULL, -- references artist.id
    tag INTEGER /* by hand: uuid */ NOT NULL, -- references tag.id
    count INTEGER NOT NULL
);
CREATE TABLE editor (
    id SERIAL,
    name VARCHAR(64) NOT NULL,
    privs INTEGER DEFAULT 0,
    member_since TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    email_confirm_date TIMESTAMP WITH TIME ZONE,
    last_login_date TIMESTAMP WITH TIME ZONE DEFAULT now(),
    area INTEGER -- references area.id
);
ALTER TABLE area_type ADD CONSTRAINT area_type_pkey PRIMARY KEY (id);
ALTER TABLE area ADD CONSTRAINT area_pkey PRIMARY KEY (id);
ALTER TABLE artist_type ADD CONSTRAINT artist_type_pkey PRIMARY KEY (id);
ALTER TABLE gender ADD CONSTRAINT gender_pkey PRIMARY KEY (id);
ALTER TABLE artist ADD CONSTRAINT artist_pkey PRIMARY KEY (id);
ALTER TABLE artist_alias ADD CONSTRAINT artist_alias_pkey PRIMARY KEY (id);
ALTER TABLE artist_meta ADD CONSTRAINT artist_meta_pkey PRIMARY KEY (id);
ALTER TABLE artist_gid_redirect ADD CONSTRAINT artist_gid_redirect_pkey PRIMARY KEY (gid);
ALTER TABLE artist_credit ADD CONSTRAINT artist_credit_pkey PRIMARY KEY (id);
ALTER TABLE artist_credit_name ADD CONSTRAINT artist_credit_name_pkey PRIMARY KEY (artist_credit, position);
ALTER TABLE recording ADD CONSTRAINT recording_pkey PRIMARY KEY (id);
ALTER TABLE l_artist_recording ADD CONSTRAINT l_artist_recording_pkey PRIMARY KEY (id);
ALTER TABLE tag ADD CONSTRAINT tag_pkey PRIMARY KEY (id);
ALTER TABLE artist_tag ADD CONSTRAINT artist_tag_pkey PRIMARY KEY (artist, tag);
ALTER TABLE editor ADD CONSTRAINT editor_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX area_idx_gid ON area (gid);
CREATE INDEX area_idx_name ON area (name);
CREATE UNIQUE INDEX artist_idx_gid ON artist (gid);
CREATE INDEX artist_idx_name ON artist (name);
CREATE INDEX artist_idx_area ON artist (area);
CREATE INDEX artist_idx_lower_name ON artist (lower(name));
CREATE UNIQUE INDEX artist_idx_uniq_name_comment ON artist (name, comment) WHERE comment IS NOT NULL;
CREATE INDEX artist_alias_idx_artist ON artist_alias (artist);
CREATE UNIQUE INDEX artist_alias_idx_primary ON artist_alias (artist, locale) WHERE primary_for_locale = TRUE AND locale IS NOT NULL;
CREATE INDEX artist_gid_redirect_idx_new_id ON artist_gid_redirect (new_id);
CREATE INDEX artist_credit_name_idx_artist ON artist_credit_name (artist);
CREATE UNIQUE INDEX recording_idx_gid ON recording (gid);
CREATE INDEX recording_idx_artist_credit ON recording (artist_credit);
CREATE UNIQUE INDEX l_artist_recording_idx_uniq ON l_artist_recording (entity0, entity1, link, link_order);
CREATE INDEX l_artist_recording_idx_entity1 ON l_artist_recording (entity1);
CREATE UNIQUE INDEX tag_idx_name ON tag (name);
CREATE INDEX artist_tag_idx_tag ON artist_tag (tag);
CREATE UNIQUE INDEX editor_idx_name ON editor (lower(name));
ALTER TABLE area_type ADD CONSTRAINT area_type_fk_parent FOREIGN KEY (parent) REFERENCES area_type (id);
ALTER TABLE area ADD CONSTRAINT area_fk_type FOREIGN KEY (type) REFERENCES area_type (id);
ALTER TABLE artist_type ADD CONSTRAINT artist_type_fk_parent FOREIGN KEY (parent) REFERENCES artist_type (id);
ALTER TABLE artist ADD CONSTRAINT artist_fk_type FOREIGN KEY (type) REFERENCES artist_type (id);
ALTER TABLE artist ADD CONSTRAINT artist_fk_area FOREIGN KEY (area) REFERENCES area (id);
ALTER TABLE artist ADD CONSTRAINT artist_fk_gender FOREIGN KEY (gender) REFERENCES gender (id);
ALTER TABLE artist_alias ADD CONSTRAINT artist_alias_fk_artist FOREIGN KEY (artist) REFERENCES artist (id);
ALTER TABLE artist_meta ADD CONSTRAINT artist_meta_fk_id FOREIGN KEY (id) REFERENCES artist (id) ON DELETE CASCADE;
ALTER TABLE artist_gid_redirect ADD CONSTRAINT artist_gid_redirect_fk_new_id FOREIGN KEY (new_id) REFERENCES artist (id);
ALTER TABLE artist_credit_name ADD CONSTRAINT artist_credit_name_fk_artist_credit FOREIGN KEY (artist_credit) REFERENCES artist_credit (id) ON DELETE CASCADE;
ALTER TABLE artist_credit_name ADD CONSTRAINT artist_credit_name_fk_artist FOREIGN KEY (artist) REFERENCES artist (id) ON DELETE CASCADE;
ALTER TABLE recording ADD CONSTRAINT recording_fk_artist_credit FOREIGN KEY (artist_credit) REFERENCES artist_credit (id);
ALTER TABLE l_artist_recording ADD CONSTRAINT l_artist_recording_fk_entity0 FOREIGN KEY (entity0) REFERENCES artist (id);
ALTER TABLE l_artist_recording ADD CONSTRAINT l_artist_recording_fk_entity1 FOREIGN KEY (entity1) REFERENCES recording (id);
ALTER TABLE artist_tag ADD CONSTRAINT artist_tag_fk_artist FOREIGN KEY (artist) REFERENCES artist (id);
ALTER TABLE artist_tag ADD CONSTRAINT artist_tag_fk_tag FOREIGN KEY (tag) REFERENCES tag (id);
ALTER TABLE editor ADD CONSTRAINT editor_fk_area FOREIGN KEY (area) REFERENCES area (id);
CREATE TRIGGER a_ins_artist AFTER INSERT ON artist FOR EACH ROW EXECUTE PROCEDURE a_ins_artist();
CREATE TRIGGER b_upd_artist BEFORE UPDATE ON artist FOR EACH ROW EXECUTE PROCEDURE b_upd_last_updated_table();
CREATE TRIGGER b_upd_area BEFORE UPDATE ON area FOR EACH ROW EXECUTE PROCEDURE b_upd_last_updated_table();
CREATE TRIGGER a_ins_recording AFTER INSERT ON recording FOR EACH ROW EXECUTE PROCEDURE inc_ref_count();
CREATE TRIGGER a_del_recording AFTER DELETE ON recording FOR EACH ROW EXECUTE PROCEDURE dec_ref_count();

-- Rows
INSERT INTO area_type (name, gid) SELECT 'type ' || i, md5('at' || i)::uuid FROM generate_series(1, 5) AS i;
INSERT INTO area (gid, name, type) SELECT md5('a' || i)::uuid, 'Area ' || i, i % 5 + 1 FROM generate_series(1, 100) AS i;
INSERT INTO artist_type (name, gid) SELECT 'type ' || i, md5('rt' || i)::uuid FROM generate_series(1, 6) AS i;
INSERT INTO gender (name, gid) SELECT 'gender ' || i, md5('g' || i)::uuid FROM generate_series(1, 3) AS i;
INSERT INTO artist (gid, name, sort_name, type, area, last_updated)
    SELECT md5('r' || i)::uuid, 'Artist ' || i, 'Artist ' || i, i % 6 + 1, i % 100 + 1, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 hour'
    FROM generate_series(1, 1500) AS i;
UPDATE artist_meta SET rating = 50 WHERE id % 3 = 0;
INSERT INTO artist_alias (artist, name, sort_name, locale, primary_for_locale)
    SELECT i % 1500 + 1, 'Alias ' || i, 'Alias ' || i, 'en', i <= 1500 FROM generate_series(1, 2500) AS i;
INSERT INTO artist_gid_redirect (gid, new_id) SELECT md5('d' || i)::uuid, i FROM generate_series(1, 300) AS i;
INSERT INTO artist_credit (name, artist_count, created)
    SELECT 'Credit ' || i, 1, timestamptz '2024-02-01 00:00:00+00' + i * interval '1 minute' FROM generate_series(1, 1800) AS i;
INSERT INTO artist_credit_name (artist_credit, position, artist, name)
    SELECT (i - 1) % 1800 + 1, (i - 1) / 1800, i % 1500 + 1, 'Name ' || i FROM generate_series(1, 3000) AS i;
INSERT INTO recording (gid, name, artist_credit, length)
    SELECT md5('c' || i)::uuid, 'Recording ' || i, i % 1800 + 1, i FROM generate_series(1, 4000) AS i;
INSERT INTO l_artist_recording (link, entity0, entity1) SELECT 1, i % 1500 + 1, i FROM generate_series(1, 3000) AS i;
INSERT INTO tag (name) SELECT 'tag ' || i FROM generate_series(1, 60) AS i;
INSERT INTO artist_tag SELECT i % 1499 + 1, i % 60 + 1, 1 FROM generate_series(1, 2000) AS i;
INSERT INTO editor (name, area) SELECT 'editor ' || i, i % 100 + 1 FROM generate_series(1, 100) AS i;
ANALYZE;
