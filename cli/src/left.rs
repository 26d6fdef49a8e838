//! The last states of nodes that have left, in files that `pg_keyspace leave` writes.

use std::path::{Path, PathBuf};

use keyspace::sequences::NodeState;

use crate::failure::{Failure, Result};

/// The last state of a node that has left.
pub struct Left {
    /// The document, for other nodes.
    pub document: String,
    /// The same, read.
    pub state: NodeState,
}

/// Reads such files.
///
/// # Errors
/// If one cannot be read, or is not the state of a node that has left.
pub fn read(files: &[PathBuf]) -> Result<Vec<Left>> {
    files.iter().map(|file| read_one(file)).collect()
}

fn read_one(file: &Path) -> Result<Left> {
    let document = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("could not read \"{}\": {error}", file.display())))?;
    let state = NodeState::parse(&document).map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("could not read \"{}\": {}", file.display(), failure.message), ..failure }
    })?;
    if !state.left {
        return Err(Failure::new(format!("\"{}\" is not the state of a node that has left", file.display()))
            .hint("Use the file that \"pg_keyspace leave\" writes. A state that was taken before the writers of the node have stopped does not show all of its ids."));
    }
    Ok(Left { document, state })
}

/// The document of a state, with the mark that its node has left.
pub fn marked(state: &NodeState) -> String {
    NodeState { left: true, ..state.clone() }.to_json()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_state_of_a_node_that_has_left_is_read() {
        let document = r#"{"version": 2, "node": 3, "nodes": 4, "system_identifier": 1, "timeline": 1, "database": "shop",
            "database_oid": 5, "started_at": "2026-01-31T12:00:00.000000Z", "time": "2026-01-31T12:00:00.000000Z", "sequences": {}}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = [file.path().to_owned()];
        std::fs::write(file.path(), document).unwrap();
        assert!(read(&files).err().unwrap().message.ends_with("is not the state of a node that has left"));
        std::fs::write(file.path(), marked(&NodeState::parse(document).unwrap())).unwrap();
        let found = read(&files).unwrap();
        assert!(found[0].state.taken_class().is_none() && found[0].state.class().is_some());
        std::fs::write(file.path(), "nonsense").unwrap();
        assert!(read(&files).err().unwrap().message.contains("invalid state of a peer"));
        assert!(read(&["/none".into()]).is_err());
    }
}
