//! Who may read a rendered file, as a POSIX access list: the daemon has no right to give files to other users.

use crate::access::Reader;

/// The extended attribute that holds it.
pub(super) const ATTRIBUTE: &str = "system.posix_acl_access";

/// The version of its form, which is the only one: `POSIX_ACL_XATTR_VERSION`.
const VERSION: u32 = 2;

/// The number in an entry that means nobody in particular: `ACL_UNDEFINED_ID`.
const NOBODY: u32 = u32::MAX;

/// Tags of entries, in the order in which they have to stand.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// What entries allow.
const NOTHING: u16 = 0;
const READ: u16 = 4;
const READ_AND_WRITE: u16 = 6;

/// The list by which the owner writes and `readers`, which are sorted, read.
pub(super) fn of(readers: &[Reader]) -> Vec<u8> {
    let users = readers.iter().filter_map(|reader| match reader {
        Reader::User(uid) => Some((USER, READ, *uid)),
        Reader::Group(_) => None,
    });
    let groups = readers.iter().filter_map(|reader| match reader {
        Reader::Group(gid) => Some((GROUP, READ, *gid)),
        Reader::User(_) => None,
    });
    let entries = [(USER_OBJ, READ_AND_WRITE, NOBODY)]
        .into_iter()
        .chain(users)
        .chain([(GROUP_OBJ, NOTHING, NOBODY)])
        .chain(groups)
        .chain([(MASK, READ, NOBODY), (OTHER, NOTHING, NOBODY)]);
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, allowed, id) in entries {
        list.extend_from_slice(&tag.to_le_bytes());
        list.extend_from_slice(&allowed.to_le_bytes());
        list.extend_from_slice(&id.to_le_bytes());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stands_in_the_order_of_the_kernel() {
        let list = of(&[Reader::User(7), Reader::User(9), Reader::Group(3)]);
        let (version, entries) = list.split_at(4);
        assert_eq!(version, [2, 0, 0, 0]);
        let told: Vec<_> = entries.chunks(8).map(|entry| (entry[0], entry[2], entry[4])).collect();
        assert_eq!(
            told,
            [(1, 6, 255), (2, 4, 7), (2, 4, 9), (4, 0, 255), (8, 4, 3), (16, 4, 255), (32, 0, 255)]
        );
    }
}
