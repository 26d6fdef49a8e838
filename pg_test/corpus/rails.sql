-- A forum in the manner of Ruby on Rails: bigserial keys, timestamps without a time zone in every
-- table, most references without a foreign key, polymorphic ones.
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (
    key character varying NOT NULL PRIMARY KEY,
    value character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    email character varying DEFAULT ''::character varying NOT NULL,
    encrypted_password character varying DEFAULT ''::character varying NOT NULL,
    reset_password_token character varying,
    role integer DEFAULT 0 NOT NULL,
    sign_in_count integer DEFAULT 0 NOT NULL,
    current_sign_in_at timestamp(6) without time zone,
    preferences jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_reset_password_token ON users (reset_password_token);
CREATE TABLE categories (
    id bigserial PRIMARY KEY,
    parent_id bigint,
    name character varying NOT NULL,
    position integer DEFAULT 0 NOT NULL,
    topics_count integer DEFAULT 0 NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    CONSTRAINT fk_rails_82f48f7407 FOREIGN KEY (parent_id) REFERENCES categories (id)
);
CREATE UNIQUE INDEX index_categories_on_parent_and_name ON categories (COALESCE(parent_id, 0), lower(name));
CREATE TABLE topics (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ PRIMARY KEY,
    category_id bigint NOT NULL,
    user_id bigint NOT NULL,
    merged_into_id bigint /* by hand: uuid */,
    title character varying NOT NULL,
    slug character varying,
    status integer DEFAULT 0 NOT NULL,
    posts_count integer DEFAULT 0 NOT NULL,
    pinned_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    CONSTRAINT fk_rails_0c1f2a7d3e FOREIGN KEY (category_id) REFERENCES categories (id),
    CONSTRAINT fk_rails_5d31a0f06c FOREIGN KEY (merged_into_id) REFERENCES topics (id) ON DELETE SET NULL
);
CREATE INDEX index_topics_on_category_id ON topics (category_id);
CREATE INDEX index_topics_on_user_id ON topics (user_id);
CREATE INDEX index_topics_on_merged_into_id ON topics (merged_into_id) WHERE merged_into_id IS NOT NULL;
CREATE INDEX index_topics_on_status_and_created_at ON topics (status, created_at DESC);
CREATE UNIQUE INDEX index_topics_on_slug ON topics (slug);
CREATE TABLE posts (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ PRIMARY KEY,
    topic_id bigint /* by hand: uuid */ NOT NULL,
    user_id bigint NOT NULL,
    reply_to_id bigint /* by hand: uuid */,
    number integer DEFAULT 0 NOT NULL,
    body text NOT NULL,
    score numeric(8, 2) DEFAULT 0.0 NOT NULL,
    deleted_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    CONSTRAINT fk_rails_70d0b6486a FOREIGN KEY (topic_id) REFERENCES topics (id) ON DELETE CASCADE,
    CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX index_posts_on_topic_id_and_number ON posts (topic_id, number);
CREATE INDEX index_posts_on_topic_id ON posts (topic_id) WHERE deleted_at IS NULL;
CREATE INDEX index_posts_on_user_id ON posts (user_id);
CREATE INDEX index_posts_on_reply_to_id ON posts (reply_to_id);
CREATE TABLE tags (
    id bigserial PRIMARY KEY,
    name character varying NOT NULL,
    taggings_count integer DEFAULT 0,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE UNIQUE INDEX index_tags_on_name ON tags (name);
CREATE TABLE taggings (
    id bigserial PRIMARY KEY,
    tag_id bigint,
    taggable_type character varying,
    taggable_id bigint,
    tagger_id bigint,
    context character varying(128),
    created_at timestamp(6) without time zone,
    CONSTRAINT fk_rails_9fcd2e236b FOREIGN KEY (tag_id) REFERENCES tags (id)
);
CREATE UNIQUE INDEX taggings_idx ON taggings (tag_id, taggable_id, taggable_type, context, tagger_id);
CREATE INDEX index_taggings_on_taggable_type_and_taggable_id ON taggings (taggable_type, taggable_id);
CREATE TABLE votes (
    id bigserial PRIMARY KEY,
    post_id bigint /* by hand: uuid */ NOT NULL,
    user_id bigint NOT NULL,
    value smallint DEFAULT 1 NOT NULL,
    note character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    CONSTRAINT votes_value_range CHECK (value >= -1 AND value <= 1)
);
CREATE UNIQUE INDEX index_votes_on_user_id_and_post_id ON votes (user_id, post_id);
CREATE INDEX index_votes_on_post_id ON votes (post_id);
CREATE TABLE categories_users (category_id bigint NOT NULL, user_id bigint NOT NULL);
CREATE INDEX index_categories_users_on_category_id_and_user_id ON categories_users (category_id, user_id);
CREATE TABLE notifications (
    id bigserial PRIMARY KEY,
    recipient_id bigint NOT NULL,
    topic_id bigint /* by hand: uuid */,
    post_id bigint /* by hand: uuid */,
    kind integer DEFAULT 0 NOT NULL,
    read_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE INDEX index_notifications_on_recipient_id ON notifications (recipient_id) WHERE read_at IS NULL;
CREATE INDEX index_notifications_on_topic_id ON notifications (topic_id);
CREATE TABLE active_storage_blobs (
    id bigserial PRIMARY KEY,
    key character varying NOT NULL,
    filename character varying NOT NULL,
    metadata text,
    byte_size bigint NOT NULL,
    checksum character varying,
    created_at timestamp(6) without time zone NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);
CREATE TABLE active_storage_attachments (
    id bigserial PRIMARY KEY,
    name character varying NOT NULL,
    record_type character varying NOT NULL,
    record_id bigint NOT NULL,
    blob_id bigint NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    CONSTRAINT fk_rails_c3b3935057 FOREIGN KEY (blob_id) REFERENCES active_storage_blobs (id)
);
CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness
    ON active_storage_attachments (record_type, record_id, name, blob_id);
COMMENT ON TABLE topics IS 'A thread of posts';
COMMENT ON COLUMN topics.merged_into_id IS 'the topic that replaces this one';
COMMENT ON COLUMN posts.topic_id IS 'the thread';
CREATE VIEW topic_activities AS
    SELECT t.id AS topic_id, t.title, count(p.id) AS posts, max(p.created_at) AS last_post_at
    FROM topics AS t LEFT JOIN posts AS p ON p.topic_id = t.id
    GROUP BY t.id, t.title;

-- Rows
INSERT INTO schema_migrations SELECT (20240101000000 + i)::text FROM generate_series(1, 20) AS i;
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-01-01', '2024-01-01');
INSERT INTO users (email, role, created_at, updated_at)
    SELECT 'user' || i || '@example.com', i % 3, t, t
    FROM generate_series(1, 300) AS i, LATERAL (SELECT timestamp '2024-01-01' + i * interval '7 minutes' AS t) AS at;
INSERT INTO categories (parent_id, name, created_at, updated_at)
    SELECT nullif(i / 4, 0), 'Category ' || i, '2024-01-01', '2024-01-01' FROM generate_series(1, 20) AS i;
INSERT INTO topics (category_id, user_id, merged_into_id, title, slug, created_at, updated_at)
    SELECT i % 20 + 1, i % 300 + 1, CASE WHEN i % 40 = 0 THEN i - 1 END, 'Topic ' || i, 'topic-' || i, t, t
    FROM generate_series(1, 1500) AS i, LATERAL (SELECT timestamp '2024-02-01' + i * interval '3 minutes' AS t) AS at;
INSERT INTO posts (topic_id, user_id, reply_to_id, number, body, created_at, updated_at)
    SELECT i % 1500 + 1, i % 300 + 1, CASE WHEN i > 1500 THEN i - 1500 END, i / 1500, repeat('post ' || i || ' ', 8), t, t
    FROM generate_series(1, 6000) AS i, LATERAL (SELECT timestamp '2024-02-10' + i * interval '1 minute' AS t) AS at;
INSERT INTO tags (name, created_at, updated_at)
    SELECT 'tag ' || i, '2024-01-01', '2024-01-01' FROM generate_series(1, 50) AS i;
INSERT INTO taggings (tag_id, taggable_type, taggable_id, tagger_id, context, created_at)
    SELECT i % 50 + 1, (ARRAY['Topic', 'User'])[i % 2 + 1], i % 300 + 1, i % 300 + 1, 'tags' || i / 300, '2024-03-01'
    FROM generate_series(1, 1200) AS i;
INSERT INTO votes (post_id, user_id, created_at, updated_at)
    SELECT i % 6000 + 1, i / 20 + 1, '2024-03-01', '2024-03-01' FROM generate_series(1, 4000) AS i;
INSERT INTO categories_users SELECT i % 20 + 1, i % 300 + 1 FROM generate_series(1, 400) AS i;
INSERT INTO notifications (recipient_id, topic_id, post_id, created_at, updated_at)
    SELECT i % 300 + 1, CASE WHEN i % 2 = 0 THEN i % 1500 + 1 END, CASE WHEN i % 2 = 1 THEN i % 6000 + 1 END, '2024-03-01', '2024-03-01'
    FROM generate_series(1, 3000) AS i;
INSERT INTO active_storage_blobs (key, filename, byte_size, created_at)
    SELECT md5(i::text), i || '.png', i * 100, '2024-03-01' FROM generate_series(1, 200) AS i;
INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at)
    SELECT 'avatar', 'User', i, i, '2024-03-01' FROM generate_series(1, 200) AS i;
ANALYZE;
