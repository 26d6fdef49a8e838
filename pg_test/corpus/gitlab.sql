-- A forge in the manner of GitLab: times with and without a zone, checks on the length of each text,
-- partitioned tables, a queue of deleted rows that trigger functions fill in place of foreign keys.
CREATE FUNCTION insert_into_loose_foreign_keys_deleted_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_foreign_keys_deleted_records (fully_qualified_table_name, primary_key_value)
    SELECT TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, old_table.id FROM old_table;
    RETURN NULL;
END $$;
CREATE FUNCTION touch_project_statistics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE project_statistics SET commit_count = commit_count + 1 WHERE project_id = NEW.project_id;
    RETURN NULL;
END $$;
CREATE TABLE loose_foreign_keys_deleted_records (
    id bigserial NOT NULL,
    partition bigint DEFAULT 1 NOT NULL,
    primary_key_value bigint NOT NULL,
    status smallint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    fully_qualified_table_name text NOT NULL,
    CONSTRAINT check_1a541f3235 CHECK ((char_length(fully_qualified_table_name) <= 150)),
    PRIMARY KEY (partition, id)
);
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    email character varying DEFAULT ''::character varying NOT NULL,
    username character varying,
    name character varying,
    admin boolean DEFAULT false NOT NULL,
    created_by_id bigint,
    last_activity_on date,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE INDEX index_users_on_username ON users (username);
CREATE INDEX index_users_on_id_where_admin ON users (id) WHERE admin;
CREATE TABLE namespaces (
    id bigserial PRIMARY KEY,
    name character varying NOT NULL,
    path character varying NOT NULL,
    owner_id bigint,
    parent_id bigint,
    type character varying DEFAULT 'User'::character varying NOT NULL,
    traversal_ids integer[] DEFAULT '{}'::integer[] NOT NULL,
    created_at timestamp without time zone,
    updated_at timestamp without time zone
);
CREATE UNIQUE INDEX index_namespaces_on_name_parent_id_type ON namespaces (name, parent_id, type);
CREATE INDEX index_namespaces_on_owner_id ON namespaces (owner_id);
CREATE TABLE projects (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ PRIMARY KEY,
    name character varying,
    path character varying,
    description text,
    creator_id bigint,
    namespace_id bigint NOT NULL,
    star_count integer DEFAULT 0 NOT NULL,
    created_at timestamp without time zone,
    updated_at timestamp without time zone,
    last_activity_at timestamp without time zone,
    CONSTRAINT fk_03ec10b0d3 FOREIGN KEY (creator_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_6ca23af0a3 FOREIGN KEY (namespace_id) REFERENCES namespaces (id)
);
CREATE INDEX index_projects_on_creator_id_and_id ON projects (creator_id, id);
CREATE UNIQUE INDEX index_projects_on_namespace_id_and_path ON projects (namespace_id, path);
CREATE TABLE project_statistics (
    id bigserial PRIMARY KEY,
    project_id bigint /* by hand: uuid */ NOT NULL,
    namespace_id bigint NOT NULL,
    commit_count bigint DEFAULT 0 NOT NULL,
    storage_size bigint DEFAULT 0 NOT NULL,
    CONSTRAINT fk_198ad46fdc FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX index_project_statistics_on_project_id ON project_statistics (project_id);
CREATE TABLE milestones (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ PRIMARY KEY,
    title character varying NOT NULL,
    project_id bigint,
    group_id bigint,
    due_date date,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT check_08e9665f4b CHECK (num_nonnulls(group_id, project_id) = 1)
);
CREATE TABLE iterations_cadences (
    id bigserial PRIMARY KEY,
    group_id bigint NOT NULL,
    start_date date,
    title text NOT NULL,
    CONSTRAINT check_5c5d2b44bd CHECK ((char_length(title) <= 255))
);
CREATE TABLE issues (
    id bigserial /* by hand: uuid DEFAULT public.uuidv7() */ PRIMARY KEY,
    title character varying,
    author_id bigint,
    project_id bigint /* by hand: uuid */,
    milestone_id bigint /* by hand: uuid */,
    iid integer,
    updated_by_id bigint,
    duplicated_to_id bigint /* by hand: uuid */,
    closed_at timestamp with time zone,
    created_at timestamp without time zone,
    updated_at timestamp without time zone,
    CONSTRAINT check_2addf801cd CHECK ((project_id IS NOT NULL)),
    CONSTRAINT fk_05f1e72feb FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_899c8f3231 FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_9c4516d665 FOREIGN KEY (duplicated_to_id) REFERENCES issues (id) ON DELETE SET NULL
);
CREATE UNIQUE INDEX index_issues_on_project_id_and_iid ON issues (project_id, iid);
CREATE INDEX index_issues_on_author_id_and_id_and_created_at ON issues (author_id, id, created_at);
CREATE INDEX index_issues_on_milestone_id ON issues (milestone_id);
CREATE INDEX index_issues_on_duplicated_to_id ON issues (duplicated_to_id) WHERE (duplicated_to_id IS NOT NULL);
CREATE INDEX index_issues_on_updated_by_id ON issues (updated_by_id) WHERE (updated_by_id IS NOT NULL);
CREATE TABLE issue_assignees (
    user_id bigint NOT NULL,
    issue_id bigint /* by hand: uuid */ NOT NULL,
    CONSTRAINT issue_assignees_pkey PRIMARY KEY (issue_id, user_id),
    CONSTRAINT fk_5e0c8d9154 FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_b7d881734a FOREIGN KEY (issue_id) REFERENCES issues (id) ON DELETE CASCADE
);
CREATE INDEX index_issue_assignees_on_user_id_and_issue_id ON issue_assignees (user_id, issue_id);
CREATE TABLE issue_links (
    id bigserial PRIMARY KEY,
    source_id bigint /* by hand: uuid */ NOT NULL,
    target_id bigint /* by hand: uuid */ NOT NULL,
    link_type smallint DEFAULT 0 NOT NULL,
    note text,
    created_at timestamp without time zone,
    CONSTRAINT fk_c900194ff2 FOREIGN KEY (source_id) REFERENCES issues (id) ON DELETE CASCADE,
    CONSTRAINT fk_e71bb44f1f FOREIGN KEY (target_id) REFERENCES issues (id) ON DELETE CASCADE,
    CONSTRAINT issue_links_not_itself CHECK (source_id <> target_id)
);
CREATE UNIQUE INDEX index_issue_links_on_source_id_and_target_id ON issue_links (source_id, target_id);
CREATE INDEX index_issue_links_on_target_id ON issue_links (target_id);
CREATE TABLE merge_requests (
    id bigserial PRIMARY KEY,
    title character varying,
    target_project_id bigint NOT NULL,
    source_project_id bigint,
    author_id bigint,
    merge_user_id bigint,
    head_pipeline_id bigint,
    created_at timestamp without time zone,
    updated_at timestamp without time zone,
    CONSTRAINT fk_641731faff FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX index_merge_requests_on_author_id ON merge_requests (author_id);
CREATE TABLE labels (
    id bigserial PRIMARY KEY,
    title character varying,
    color character varying,
    project_id bigint,
    group_id bigint,
    created_at timestamp with time zone,
    CONSTRAINT fk_7de4989a69 FOREIGN KEY (group_id) REFERENCES namespaces (id) ON DELETE CASCADE
);
CREATE TABLE label_links (
    id bigserial PRIMARY KEY,
    label_id bigint,
    target_type character varying,
    target_id bigint,
    created_at timestamp with time zone,
    CONSTRAINT fk_d97dd08678 FOREIGN KEY (label_id) REFERENCES labels (id) ON DELETE CASCADE
);
CREATE INDEX index_label_links_on_target ON label_links (target_type, target_id);
CREATE TABLE vulnerabilities (
    id bigserial PRIMARY KEY,
    project_id bigint NOT NULL,
    author_id bigint NOT NULL,
    title character varying(255) NOT NULL,
    severity smallint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    CONSTRAINT fk_b1de915a15 FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE SET NULL
);
CREATE TABLE p_ci_builds (
    id bigserial NOT NULL,
    partition_id bigint NOT NULL,
    project_id bigint /* by hand: uuid */ NOT NULL,
    user_id bigint,
    name text,
    created_at timestamp without time zone,
    CONSTRAINT p_ci_builds_pkey PRIMARY KEY (id, partition_id),
    CONSTRAINT fk_3b5d2c1a90 FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE
) PARTITION BY LIST (partition_id);
CREATE TABLE ci_builds_100 PARTITION OF p_ci_builds FOR VALUES IN (100);
CREATE TABLE ci_builds_101 PARTITION OF p_ci_builds FOR VALUES IN (101);
CREATE INDEX p_ci_builds_project_id_idx ON p_ci_builds (project_id);
CREATE TABLE audit_events (
    id bigserial NOT NULL,
    author_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    entity_type character varying NOT NULL,
    details text,
    created_at timestamp without time zone NOT NULL,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE audit_events_2024 PARTITION OF audit_events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TRIGGER users_loose_fk_trigger AFTER DELETE ON users REFERENCING OLD TABLE AS old_table
    FOR EACH STATEMENT EXECUTE FUNCTION insert_into_loose_foreign_keys_deleted_records();
CREATE TRIGGER issues_loose_fk_trigger AFTER DELETE ON issues REFERENCING OLD TABLE AS old_table
    FOR EACH STATEMENT EXECUTE FUNCTION insert_into_loose_foreign_keys_deleted_records();
CREATE TRIGGER issues_statistics AFTER INSERT ON issues FOR EACH ROW EXECUTE FUNCTION touch_project_statistics();
COMMENT ON TABLE issues IS 'Work items of a project';
COMMENT ON COLUMN issues.duplicated_to_id IS 'the issue that this one repeats';

-- Rows
INSERT INTO users (email, username, name, admin, created_at, updated_at)
    SELECT 'u' || i || '@example.com', 'u' || i, 'User ' || i, i % 50 = 0, t, t
    FROM generate_series(1, 600) AS i, LATERAL (SELECT timestamp '2024-01-01' + i * interval '1 hour' AS t) AS at;
INSERT INTO namespaces (name, path, owner_id, created_at, updated_at)
    SELECT 'Group ' || i, 'g' || i, i, '2024-01-01', '2024-01-01' FROM generate_series(1, 100) AS i;
INSERT INTO projects (name, path, creator_id, namespace_id, created_at, updated_at)
    SELECT 'Project ' || i, 'p' || i, i % 600 + 1, i % 100 + 1, '2024-01-01', '2024-01-01' FROM generate_series(1, 200) AS i;
INSERT INTO project_statistics (project_id, namespace_id) SELECT i, i % 100 + 1 FROM generate_series(1, 200) AS i;
INSERT INTO milestones (title, project_id, created_at) SELECT 'v' || i, i, '2024-01-01 00:00:00+00' FROM generate_series(1, 100) AS i;
INSERT INTO iterations_cadences (group_id, start_date, title) SELECT i, date '2024-01-01' + i, 'c' || i FROM generate_series(1, 20) AS i;
INSERT INTO issues (title, author_id, project_id, milestone_id, iid, updated_by_id, duplicated_to_id, created_at, updated_at)
    SELECT 'Issue ' || i, i % 600 + 1, i % 200 + 1, i % 100 + 1, i, CASE WHEN i % 3 = 0 THEN i % 600 + 1 END, CASE WHEN i % 20 = 0 THEN i - 1 END, t, t
    FROM generate_series(1, 2000) AS i, LATERAL (SELECT timestamp '2024-02-01' + i * interval '5 minutes' AS t) AS at;
INSERT INTO issue_assignees SELECT i % 600 + 1, i FROM generate_series(1, 2000) AS i;
INSERT INTO issue_links (source_id, target_id, created_at) SELECT i, i + 1, '2024-03-01' FROM generate_series(1, 1500) AS i;
INSERT INTO merge_requests (title, target_project_id, author_id, merge_user_id, created_at, updated_at)
    SELECT 'MR ' || i, i % 200 + 1, i % 600 + 1, i % 599 + 1, '2024-03-01', '2024-03-01' FROM generate_series(1, 1500) AS i;
INSERT INTO labels (title, color, project_id, created_at) SELECT 'label ' || i, '#fff', i, '2024-01-01 00:00:00+00' FROM generate_series(1, 60) AS i;
INSERT INTO label_links (label_id, target_type, target_id, created_at)
    SELECT i % 60 + 1, (ARRAY['Issue', 'MergeRequest'])[i % 2 + 1], i, '2024-03-01 00:00:00+00' FROM generate_series(1, 1000) AS i;
INSERT INTO vulnerabilities (project_id, author_id, title, severity, created_at)
    SELECT i % 200 + 1, i % 600 + 1, 'v ' || i, 1, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 hour' FROM generate_series(1, 500) AS i;
INSERT INTO p_ci_builds (partition_id, project_id, user_id, name, created_at)
    SELECT 100 + i % 2, i % 200 + 1, i % 600 + 1, 'build', '2024-03-01' FROM generate_series(1, 1000) AS i;
INSERT INTO audit_events (author_id, entity_id, entity_type, created_at) SELECT i % 600 + 1, i, 'Project', '2024-03-01' FROM generate_series(1, 500) AS i;
ANALYZE;
