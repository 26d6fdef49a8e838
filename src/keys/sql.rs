//! The SQL files of the keys, and their dependencies.

use pgrx::extension_sql_file;

use super::ulid_type::Ulid;

extension_sql_file!("../../sql/keys/ulid_shell.sql", name = "ulid_shell", creates = [Type(Ulid)]);
extension_sql_file!("../../sql/keys/ulid_type.sql", name = "ulid_type", requires = ["ulid_shell"]);
extension_sql_file!("../../sql/keys/ulid_functions.sql", name = "ulid_functions", requires = ["ulid_type"]);
extension_sql_file!("../../sql/keys/ulid_comparison.sql", name = "ulid_comparison", requires = ["ulid_type"]);
extension_sql_file!(
    "../../sql/keys/ulid_operators.sql",
    name = "ulid_operators",
    requires = ["ulid_comparison"]
);
extension_sql_file!(
    "../../sql/keys/ulid_operator_classes.sql",
    name = "ulid_operator_classes",
    requires = ["ulid_operators"]
);
extension_sql_file!(
    "../../sql/keys/ulid_aggregates.sql",
    name = "ulid_aggregates",
    requires = ["ulid_operator_classes"]
);
extension_sql_file!(
    "../../sql/keys/ulid_casts.sql",
    name = "ulid_casts",
    requires = ["ulid_functions", ulid_from_bytea]
);
extension_sql_file!(
    "../../sql/keys/ulid_comments.sql",
    name = "ulid_comments",
    requires = [
        "ulid_functions",
        ulid_hashed_bigint,
        ulid_hashed_bigint_salt,
        ulid_hashed_uuid,
        ulid_hashed_uuid_salt,
        ulid_hashed_text,
        ulid_hashed_text_salt,
        ulid_to_id,
        ulid_to_id_salt,
    ]
);
extension_sql_file!(
    "../../sql/keys/ulid_without_time_zone.sql",
    name = "ulid_without_time_zone",
    requires = ["ulid_type"]
);
extension_sql_file!("../../sql/keys/uuidv7_functions.sql", name = "uuidv7_functions");
extension_sql_file!(
    "../../sql/keys/uuidv7_comments.sql",
    name = "uuidv7_comments",
    requires = [
        "uuidv7_functions",
        uuidv7_shifted,
        uuidv7_hashed_bigint,
        uuidv7_hashed_bigint_salt,
        uuidv7_hashed_uuid,
        uuidv7_hashed_uuid_salt,
        uuidv7_hashed_text,
        uuidv7_hashed_text_salt,
        uuidv7_to_id,
        uuidv7_to_id_salt,
    ]
);
extension_sql_file!("../../sql/keys/uuidv7_without_time_zone.sql", name = "uuidv7_without_time_zone");
