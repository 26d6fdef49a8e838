//! How each schema of the corpus is migrated, and what its application writes.
//!
//! In statements of writers, `{m}` is the mark of a row, `{n}` its number, and `{k}` the key of its
//! parent. In expressions for marks, `{f}` is the number of the family.

/// A migration of a schema.
pub(crate) struct Case {
    /// The schema.
    pub(crate) schema: &'static str,
    /// What the guide says to do before.
    pub(crate) prepare: &'static str,
    /// What that leaves in the schema by hand.
    pub(crate) prepare_by_hand: &'static str,
    /// The migrations, one after the other: the first table, and the statements that create it.
    pub(crate) migrations: &'static [(&'static str, &'static [&'static str])],
    /// Views that use the keys, in the order in which they are created.
    pub(crate) views: &'static [&'static str],
    pub(crate) families: &'static [Family],
    /// Queries that count rows that are wrong.
    pub(crate) wrong: &'static [&'static str],
}

/// Rows that belong together: those with a key, and those that refer to them.
pub(crate) struct Family {
    /// The table, or a query for its keys and marks. Its alias is `p`.
    pub(crate) parent: &'static str,
    pub(crate) key: &'static str,
    /// The expression for the mark of a row.
    pub(crate) mark: &'static str,
    /// Inserts a row, and returns its key.
    pub(crate) insert: &'static str,
    /// The same, where the application assigns ids, by a version of it that assigns keys.
    pub(crate) insert_keyed: Option<&'static str>,
    pub(crate) child: Option<Child>,
    /// Changes the time of a row.
    pub(crate) touch: Option<&'static str>,
    /// Deletes a row with its children.
    pub(crate) delete: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) struct Child {
    /// The table. Its alias is `c`.
    pub(crate) table: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) insert: &'static str,
    pub(crate) insert_keyed: Option<&'static str>,
    /// Whether its parent may change.
    pub(crate) moves: bool,
}

impl Family {
    pub(crate) fn insert_by(&self, keyed: bool) -> &'static str {
        self.insert_keyed.filter(|_| keyed).unwrap_or(self.insert)
    }

    pub(crate) fn has_keyed(&self) -> bool {
        self.insert_keyed.is_some() || self.child.as_ref().is_some_and(|child| child.insert_keyed.is_some())
    }
}

impl Child {
    pub(crate) fn insert_by(&self, keyed: bool) -> &'static str {
        self.insert_keyed.filter(|_| keyed).unwrap_or(self.insert)
    }
}

/// A table whose rows have a text for the mark.
const fn family(parent: &'static str, mark: &'static str, insert: &'static str) -> Family {
    Family { parent, key: "id", mark, insert, insert_keyed: None, child: None, touch: None, delete: None }
}

const fn child(
    table: &'static str,
    reference: &'static str,
    mark: &'static str,
    insert: &'static str,
) -> Child {
    Child { table, reference, mark, insert, insert_keyed: None, moves: true }
}

pub(crate) const RAILS: Case = Case {
    schema: "rails",
    prepare: "ALTER TABLE taggings ADD COLUMN topic_id bigint;
        UPDATE taggings SET topic_id = taggable_id WHERE taggable_type = 'Topic';
        CREATE INDEX index_taggings_on_topic_id ON taggings (topic_id)",
    prepare_by_hand: "ALTER TABLE taggings ADD COLUMN topic_id uuid;
        CREATE INDEX index_taggings_on_topic_id ON taggings (topic_id)",
    migrations: &[(
        "topics",
        &[
            "SELECT key_migration_create('topics', 'created_at', time_zone => 'UTC')",
            "SELECT key_migration_add_key('topics', 'posts', 'created_at', time_zone => 'UTC')",
            "SELECT key_migration_add_reference('topics', 'taggings', '{topic_id}')",
            "SELECT key_migration_add_reference('topics', 'notifications', '{topic_id}')",
            "SELECT key_migration_add_reference('topics', 'notifications', '{post_id}', 'posts')",
            "SELECT key_migration_add_reference('topics', 'votes', '{post_id}', 'posts')",
            "SELECT key_migration_add_reference('topics', 'posts', '{reply_to_id}', 'posts')",
        ],
    )],
    views: &["topic_activities"],
    families: &[
        Family {
            child: Some(child(
                "posts",
                "topic_id",
                "c.body",
                "INSERT INTO posts (topic_id, user_id, body, created_at, updated_at) VALUES ('{k}', 1, '{m}', now(), now())",
            )),
            touch: Some("UPDATE topics SET created_at = created_at - interval '1 day' WHERE title = '{m}'"),
            delete: Some("DELETE FROM topics WHERE title = '{m}'"),
            ..family(
                "topics",
                "p.title",
                "INSERT INTO topics (category_id, user_id, title, created_at, updated_at) VALUES (1, 1, '{m}', now(), now()) RETURNING id",
            )
        },
        Family {
            child: Some(child(
                "votes",
                "post_id",
                "c.note",
                "INSERT INTO votes (post_id, user_id, note, created_at, updated_at) VALUES ('{k}', {n}, '{m}', now(), now())",
            )),
            ..family(
                "posts",
                "p.body",
                "INSERT INTO posts (topic_id, user_id, body, created_at, updated_at)
                 SELECT id, 1, '{m}', now(), now() FROM topics WHERE slug = 'topic-7' RETURNING id",
            )
        },
    ],
    wrong: &[
        "SELECT count(*) FROM taggings AS g LEFT JOIN topics AS t ON t.id = g.topic_id
         WHERE g.taggable_type = 'Topic' AND t.title IS DISTINCT FROM 'Topic ' || g.taggable_id",
        "SELECT count(*) FROM posts AS p JOIN posts AS q ON q.id = p.reply_to_id WHERE p.number <> q.number + 1",
        "SELECT 3000 - count(*) FROM notifications AS n LEFT JOIN topics AS t ON t.id = n.topic_id LEFT JOIN posts AS p ON p.id = n.post_id
         WHERE num_nonnulls(t.id, p.id) = 1",
    ],
};

pub(crate) const DJANGO: Case = Case {
    schema: "django",
    prepare: "",
    prepare_by_hand: "",
    migrations: &[(
        "shop_order",
        &[
            "SELECT key_migration_create('shop_order')",
            "SELECT key_migration_add_key('shop_order', 'shop_product', without_timestamp => true)",
        ],
    )],
    views: &[],
    families: &[
        Family {
            child: Some(child(
                "shop_orderline",
                "order_id",
                "c.title",
                "INSERT INTO shop_orderline (title, quantity, order_id) VALUES ('{m}', 1, '{k}')",
            )),
            touch: Some(
                "UPDATE shop_order SET date_placed = date_placed - interval '1 day' WHERE number = '{m}'",
            ),
            // Django deletes referring rows itself.
            delete: Some(
                "DELETE FROM shop_orderline WHERE order_id = (SELECT id FROM shop_order WHERE number = '{m}');
                 DELETE FROM shop_order WHERE number = '{m}'",
            ),
            ..family(
                "shop_order",
                "p.number",
                "INSERT INTO shop_order (number, status, total, date_placed, user_id) VALUES ('{m}', 'new', 1, now(), 1) RETURNING id",
            )
        },
        Family {
            child: Some(child(
                "shop_orderline",
                "product_id",
                "c.title",
                "INSERT INTO shop_orderline (title, quantity, order_id, product_id)
                 SELECT '{m}', 1, id, '{k}' FROM shop_order WHERE number = '100007'",
            )),
            ..family(
                "shop_product",
                "p.title",
                "INSERT INTO shop_product (title, slug, price, attributes, category_id) VALUES ('{m}', 's', 1, '[]', 1) RETURNING id",
            )
        },
    ],
    wrong: &[
        "SELECT count(*) FROM shop_stockcount AS s LEFT JOIN shop_product AS p ON p.id = s.product_id
         WHERE p.title IS DISTINCT FROM 'Product ' || s.num_in_stock % 800 + 1",
        "SELECT 799 - count(*) FROM shop_product_recommended_products JOIN shop_product AS a ON a.id = from_product_id
         JOIN shop_product AS b ON b.id = to_product_id",
    ],
};

pub(crate) const HIBERNATE: Case = Case {
    schema: "hibernate",
    prepare: "ALTER TABLE customers ALTER COLUMN id SET DEFAULT nextval('customers_seq');
        ALTER TABLE orders ALTER COLUMN id SET DEFAULT nextval('orders_seq')",
    prepare_by_hand: "",
    migrations: &[(
        "customers",
        &[
            "SELECT key_migration_create('customers', 'created_date', time_zone => 'UTC')",
            "SELECT key_migration_add_key('customers', 'orders', 'placed_at', time_zone => 'UTC')",
            "SELECT key_migration_add_reference('customers', 'payments', '{customer_id}')",
            "SELECT key_migration_add_reference('customers', 'payments', '{order_id}', 'orders')",
            "SELECT key_migration_add_reference('customers', 'invoices', '{order_id}', 'orders')",
        ],
    )],
    views: &[],
    families: &[
        Family {
            insert_keyed: Some(
                "INSERT INTO customers (id, version, email, name, created_date) VALUES (uuidv7(), 0, '{m}', 'x', now()) RETURNING id",
            ),
            child: Some(Child {
                insert_keyed: Some(
                    "INSERT INTO orders (id, version, customer_id, number, status, placed_at) VALUES (uuidv7(), 0, '{k}', '{m}', 'NEW', now())",
                ),
                ..child(
                    "orders",
                    "customer_id",
                    "c.number",
                    "INSERT INTO orders (id, version, customer_id, number, status, placed_at)
                     VALUES (nextval('orders_seq'), 0, '{k}', '{m}', 'NEW', now())",
                )
            }),
            ..family(
                "customers",
                "p.email",
                "INSERT INTO customers (id, version, email, name, created_date)
                 VALUES (nextval('customers_seq'), 0, '{m}', 'x', now()) RETURNING id",
            )
        },
        Family {
            insert_keyed: Some(
                "INSERT INTO orders (id, version, customer_id, number, status, placed_at)
                 SELECT uuidv7(), 0, id, '{m}', 'NEW', now() FROM customers WHERE email = 'c7@example.com' RETURNING id",
            ),
            child: Some(child(
                "order_items",
                "order_id",
                "c.note",
                "INSERT INTO order_items (id, order_id, product_id, line_no, quantity, note)
                 VALUES (nextval('order_items_seq'), '{k}', 1, {n}, 1, '{m}')",
            )),
            touch: Some("UPDATE orders SET placed_at = placed_at - interval '1 day' WHERE number = '{m}'"),
            ..family(
                "orders",
                "p.number",
                "INSERT INTO orders (id, version, customer_id, number, status, placed_at)
                 SELECT nextval('orders_seq'), 0, id, '{m}', 'NEW', now() FROM customers WHERE email = 'c7@example.com' RETURNING id",
            )
        },
    ],
    wrong: &[
        "SELECT count(*) FROM payments AS y LEFT JOIN orders AS o ON o.id = y.order_id WHERE o.number IS DISTINCT FROM 'n' || y.id",
        "SELECT count(*) FROM payments AS y LEFT JOIN customers AS c ON c.id = y.customer_id
         WHERE c.name IS DISTINCT FROM 'Customer ' || y.id % 800 + 1",
        "SELECT count(*) FROM invoices AS i LEFT JOIN orders AS o ON o.id = i.order_id WHERE o.number IS DISTINCT FROM 'n' || i.id * 2",
    ],
};

pub(crate) const PRISMA: Case = Case {
    schema: "prisma",
    prepare: "",
    prepare_by_hand: "",
    migrations: &[(
        "\"User\"",
        &[
            "SELECT key_migration_create('\"User\"', 'createdAt', time_zone => 'UTC')",
            "SELECT key_migration_add_key('\"User\"', '\"Post\"', 'createdAt', time_zone => 'UTC')",
            "SELECT key_migration_add_key('\"User\"', '\"Category\"', without_timestamp => true)",
            "SELECT key_migration_add_reference('\"User\"', '\"Comment\"', '{authorId}')",
            "SELECT key_migration_add_reference('\"User\"', '\"Event\"', '{userId}')",
            "SELECT key_migration_add_reference('\"User\"', '\"Event\"', '{postId}', '\"Post\"')",
            "SELECT key_migration_add_reference('\"User\"', '\"Subscription\"', '{userId}')",
        ],
    )],
    views: &[],
    families: &[
        Family {
            key: "\"id\"",
            child: Some(child(
                "\"Post\"",
                "\"authorId\"",
                "c.title",
                "INSERT INTO \"Post\" (\"title\", \"authorId\", \"updatedAt\") VALUES ('{m}', '{k}', now())",
            )),
            ..family(
                "\"User\"",
                "p.email",
                "INSERT INTO \"User\" (\"email\", \"updatedAt\") VALUES ('{m}', now()) RETURNING \"id\"",
            )
        },
        Family {
            child: Some(child(
                "\"Comment\"",
                "\"postId\"",
                "c.body",
                "INSERT INTO \"Comment\" (\"body\", \"postId\") VALUES ('{m}', '{k}')",
            )),
            touch: Some(
                "UPDATE \"Post\" SET \"createdAt\" = \"createdAt\" - interval '1 day' WHERE \"title\" = '{m}'",
            ),
            ..family(
                "\"Post\"",
                "p.title",
                "INSERT INTO \"Post\" (\"title\", \"authorId\", \"updatedAt\")
                 SELECT '{m}', \"id\", now() FROM \"User\" WHERE \"email\" = 'u7@example.com' RETURNING \"id\"",
            )
        },
        family("\"Category\"", "p.name", "INSERT INTO \"Category\" (\"name\") VALUES ('{m}') RETURNING \"id\""),
    ],
    wrong: &[
        "SELECT count(*) FROM \"Event\" AS e LEFT JOIN \"Post\" AS p ON p.id = e.\"postId\" WHERE p.title IS DISTINCT FROM 'Post ' || e.id % 2000 + 1",
        "SELECT count(*) FROM \"Subscription\" AS s LEFT JOIN \"User\" AS u ON u.id = s.\"userId\" WHERE u.name IS DISTINCT FROM 'User ' || s.id",
        "SELECT 3000 - count(*) FROM \"_CategoryToPost\" JOIN \"Category\" AS c ON c.id = \"A\" JOIN \"Post\" AS p ON p.id = \"B\"",
    ],
};

pub(crate) const MUSICBRAINZ: Case = Case {
    schema: "musicbrainz",
    prepare: "",
    prepare_by_hand: "",
    migrations: &[(
        "musicbrainz.artist",
        &[
            "SELECT key_migration_create('musicbrainz.artist', timestamp_column => 'last_updated')",
            "SELECT key_migration_add_key('musicbrainz.artist', 'musicbrainz.artist_credit')",
            "SELECT key_migration_add_key('musicbrainz.artist', 'musicbrainz.tag', without_timestamp => true)",
        ],
    )],
    views: &[],
    families: &[
        Family {
            child: Some(child(
                "musicbrainz.artist_alias",
                "artist",
                "c.name",
                "INSERT INTO musicbrainz.artist_alias (artist, name, sort_name) VALUES ('{k}', '{m}', '')",
            )),
            touch: Some("UPDATE musicbrainz.artist SET begin_date_year = 1970 WHERE name = '{m}'"),
            ..family(
                "musicbrainz.artist",
                "p.name",
                "INSERT INTO musicbrainz.artist (gid, name, sort_name) VALUES (gen_random_uuid(), '{m}', '') RETURNING id",
            )
        },
        Family {
            child: Some(child(
                "musicbrainz.recording",
                "artist_credit",
                "c.name",
                "INSERT INTO musicbrainz.recording (gid, name, artist_credit) VALUES (gen_random_uuid(), '{m}', '{k}')",
            )),
            ..family(
                "musicbrainz.artist_credit",
                "p.name",
                "INSERT INTO musicbrainz.artist_credit (name, artist_count) VALUES ('{m}', 1) RETURNING id",
            )
        },
        family("musicbrainz.tag", "p.name", "INSERT INTO musicbrainz.tag (name) VALUES ('{m}') RETURNING id"),
    ],
    wrong: &[
        // The trigger functions have written on.
        "SELECT count(*) FROM musicbrainz.artist AS a FULL JOIN musicbrainz.artist_meta AS m ON m.id = a.id WHERE a.id IS NULL OR m.id IS NULL",
        "SELECT (SELECT sum(ref_count) FROM musicbrainz.artist_credit) - (SELECT count(*) FROM musicbrainz.recording)",
        "SELECT count(*) FROM musicbrainz.l_artist_recording AS l LEFT JOIN musicbrainz.artist AS a ON a.id = l.entity0
         WHERE a.name IS DISTINCT FROM 'Artist ' || l.id % 1500 + 1",
    ],
};

pub(crate) const OPENSTREETMAP: Case = Case {
    schema: "openstreetmap",
    prepare: "ALTER TABLE current_relation_members ADD COLUMN way_id bigint;
        UPDATE current_relation_members SET way_id = member_id WHERE member_type = 'Way'",
    prepare_by_hand: "ALTER TABLE current_relation_members ADD COLUMN way_id uuid",
    migrations: &[(
        "changesets",
        &[
            "SELECT key_migration_create('changesets', 'created_at', time_zone => 'UTC')",
            "SELECT key_migration_add_key('changesets', 'current_ways', 'timestamp', time_zone => 'UTC')",
            "SELECT key_migration_add_reference('changesets', 'current_relation_members', '{way_id}', 'current_ways')",
        ],
    )],
    views: &[],
    families: &[
        Family {
            child: Some(child(
                "changeset_comments",
                "changeset_id",
                "c.body",
                "INSERT INTO changeset_comments (changeset_id, author_id, body, created_at, visible) VALUES ('{k}', 1, '{m}', now(), true)",
            )),
            touch: Some(
                "UPDATE changesets SET created_at = created_at - interval '1 day'
                 WHERE id = (SELECT changeset_id FROM changeset_tags WHERE k = 'mark' AND v = '{m}')",
            ),
            ..family(
                "(SELECT s.id, t.v AS mark FROM changesets AS s JOIN changeset_tags AS t ON t.changeset_id = s.id AND t.k = 'mark')",
                "p.mark",
                "WITH s AS (INSERT INTO changesets (user_id, created_at, closed_at) VALUES (1, now(), now()) RETURNING id),
                      t AS (INSERT INTO changeset_tags (changeset_id, k, v) SELECT id, 'mark', '{m}' FROM s)
                 SELECT id FROM s",
            )
        },
        Family {
            child: Some(child(
                "current_way_nodes",
                "way_id",
                "'f{f}c-' || c.sequence_id",
                "INSERT INTO current_way_nodes (way_id, node_id, sequence_id) VALUES ('{k}', 1, {n})",
            )),
            ..family(
                "current_ways",
                "'f{f}p-' || p.version",
                "INSERT INTO current_ways (changeset_id, \"timestamp\", visible, version)
                 SELECT id, now(), true, {n} FROM changesets WHERE min_lat = 7 RETURNING id",
            )
        },
    ],
    wrong: &[
        "SELECT count(*) FROM current_relation_members AS m LEFT JOIN current_ways AS w ON w.id = m.way_id
         WHERE m.member_type = 'Way' AND w.\"timestamp\" IS DISTINCT FROM timestamp '2024-01-01' + m.member_id * interval '3 minutes'",
        "SELECT count(*) FROM nodes AS n LEFT JOIN changesets AS s ON s.id = n.changeset_id WHERE s.min_lat IS DISTINCT FROM n.node_id % 1500 + 1",
    ],
};

pub(crate) const GITLAB: Case = Case {
    schema: "gitlab",
    prepare: GITLAB_QUEUE_AND_LINKS,
    prepare_by_hand: GITLAB_BY_HAND,
    migrations: &[
        (
            "milestones",
            &[
                "SELECT key_migration_create('milestones')",
                "SELECT key_migration_add_reference('milestones', 'issues', '{milestone_id}')",
            ],
        ),
        (
            "issues",
            &[
                "SELECT key_migration_create('issues', 'created_at', time_zone => 'UTC')",
                "SELECT key_migration_add_reference('issues', 'label_links', '{issue_id}')",
            ],
        ),
        // A partitioned table refers to it.
        ("projects", &["SELECT key_migration_create('projects', 'created_at', time_zone => 'UTC')"]),
    ],
    views: &[],
    families: &[
        Family {
            child: Some(Child {
                // Two links of an issue to the same other one are not allowed.
                moves: false,
                ..child(
                    "issue_links",
                    "source_id",
                    "c.note",
                    "INSERT INTO issue_links (source_id, target_id, note)
                     SELECT '{k}', i.id, '{m}' FROM issues AS i
                     WHERE iid IS NOT NULL AND NOT EXISTS (SELECT FROM issue_links AS l WHERE l.source_id = '{k}' AND l.target_id = i.id)
                     LIMIT 1",
                )
            }),
            delete: Some("DELETE FROM issues WHERE title = '{m}'"),
            touch: Some("UPDATE issues SET created_at = created_at - interval '1 day' WHERE title = '{m}'"),
            ..family(
                "issues",
                "p.title",
                "INSERT INTO issues (title, author_id, project_id, created_at, updated_at)
                 SELECT '{m}', 1, id, now(), now() FROM projects WHERE path = 'p1' RETURNING id",
            )
        },
        Family {
            child: Some(child(
                "issues",
                "milestone_id",
                "c.title",
                "INSERT INTO issues (title, milestone_id, author_id, project_id, created_at, updated_at)
                 SELECT '{m}', '{k}', 1, id, now(), now() FROM projects WHERE path = 'p1'",
            )),
            ..family(
                "milestones",
                "p.title",
                "INSERT INTO milestones (title, project_id, created_at) VALUES ('{m}', 1, now()) RETURNING id",
            )
        },
        Family {
            child: Some(child(
                "p_ci_builds",
                "project_id",
                "c.name",
                "INSERT INTO p_ci_builds (partition_id, project_id, name, created_at) VALUES (100 + {n} % 2, '{k}', '{m}', now())",
            )),
            delete: Some("DELETE FROM projects WHERE name = '{m}'"),
            touch: Some("UPDATE projects SET created_at = created_at - interval '1 day' WHERE name = '{m}'"),
            ..family(
                "projects",
                "p.name",
                "INSERT INTO projects (name, path, namespace_id, created_at, updated_at) VALUES ('{m}', '{m}', 1, now(), now()) RETURNING id",
            )
        },
    ],
    wrong: &[
        "SELECT count(*) FROM label_links AS l LEFT JOIN issues AS i ON i.id = l.issue_id
         WHERE l.target_type = 'Issue' AND i.iid IS DISTINCT FROM l.target_id",
        "SELECT count(*) FROM issues AS i LEFT JOIN milestones AS m ON m.id = i.milestone_id
         WHERE i.iid IS NOT NULL AND m.title IS DISTINCT FROM 'v' || i.iid % 100 + 1",
        "SELECT count(*) FROM issues AS i JOIN issues AS d ON d.id = i.duplicated_to_id WHERE d.iid <> i.iid - 1",
        "SELECT count(*) FROM p_ci_builds AS b LEFT JOIN projects AS p ON p.id = b.project_id
         WHERE b.user_id IS NOT NULL AND p.path IS DISTINCT FROM 'p' || (b.user_id - 1) % 200 + 1",
    ],
};

/// The queue of deleted rows takes ids and keys, and its function works in every phase; links to
/// issues have a column of their own.
const GITLAB_QUEUE_AND_LINKS: &str = "
ALTER TABLE loose_foreign_keys_deleted_records ALTER COLUMN primary_key_value TYPE text;
CREATE OR REPLACE FUNCTION insert_into_loose_foreign_keys_deleted_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_foreign_keys_deleted_records (fully_qualified_table_name, primary_key_value)
    SELECT TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, coalesce(to_jsonb(old_table) ->> 'id_old', to_jsonb(old_table) ->> 'id') FROM old_table;
    RETURN NULL;
END $$;
ALTER TABLE label_links ADD COLUMN issue_id bigint;
UPDATE label_links SET issue_id = target_id WHERE target_type = 'Issue'";

const GITLAB_BY_HAND: &str = "
ALTER TABLE loose_foreign_keys_deleted_records ALTER COLUMN primary_key_value TYPE text;
CREATE OR REPLACE FUNCTION insert_into_loose_foreign_keys_deleted_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_foreign_keys_deleted_records (fully_qualified_table_name, primary_key_value)
    SELECT TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, coalesce(to_jsonb(old_table) ->> 'id_old', to_jsonb(old_table) ->> 'id') FROM old_table;
    RETURN NULL;
END $$;
ALTER TABLE label_links ADD COLUMN issue_id uuid";
