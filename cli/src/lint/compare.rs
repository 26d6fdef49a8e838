//! Properties of several nodes against each other.

use std::collections::BTreeMap;

/// Something that is not the same on all nodes.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference<Key> {
    /// What differs.
    pub key: Key,
    /// Whether a node does not have it.
    pub is_missing: bool,
    /// What each node has.
    pub detail: String,
}

/// What is not the same on all nodes, in the order of the keys.
pub fn differences<Key: Clone + Ord>(nodes: &[(&str, BTreeMap<Key, String>)]) -> Vec<Difference<Key>> {
    let mut keys: Vec<&Key> = nodes.iter().flat_map(|(_, items)| items.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys {
        // The nodes by what they have, in the order of the nodes.
        let mut by_value: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for (node, items) in nodes {
            let value = items.get(key).map(String::as_str);
            match by_value.iter_mut().find(|(other, _)| *other == value) {
                Some((_, with)) => with.push(node),
                None => by_value.push((value, vec![node])),
            }
        }
        if by_value.len() < 2 {
            continue;
        }
        let is_missing = by_value.iter().any(|(value, _)| value.is_none());
        // Where all that have it have the same, only the nodes that do not are of interest.
        let has_one_value = by_value.len() == 2 && is_missing;
        let each = by_value.iter().map(|(value, with)| {
            let with = with.join(" and ");
            match value {
                None => format!("missing on {with}"),
                Some("") => format!("exists on {with}"),
                Some(value) if has_one_value && value.len() > 40 => format!("exists on {with}"),
                Some(value) => format!("{value} on {with}"),
            }
        });
        let detail = each.collect::<Vec<_>>().join(", ");
        found.push(Difference { key: key.clone(), is_missing, detail });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(items: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
        items.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
    }

    #[test]
    fn nodes_are_grouped_by_what_they_have() {
        let one = node(&[("a", "x"), ("b", "1"), ("c", "")]);
        let two = node(&[("a", "x"), ("b", "2"), ("c", "")]);
        let three = node(&[("a", "x"), ("b", "1")]);
        let found = differences(&[("one", one), ("two", two), ("three", three)]);
        let details: Vec<_> =
            found.iter().map(|one| (one.key, one.is_missing, one.detail.as_str())).collect();
        assert_eq!(
            details,
            [
                ("b", false, "1 on one and three, 2 on two"),
                ("c", true, "exists on one and two, missing on three")
            ]
        );
        assert_eq!(differences(&[("one", node(&[("a", "x")]))]), [], "one node differs from nothing");
    }
}
