//! Whether the store has the objects that pointers name, as they say.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{Finding, FindingKind, FsckError, Pool};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::places::digest_of;
use crate::places::store::{Intent, Listing, ObjectStore, StoreError, Stored, in_parallel};
use crate::stories::event::{Event, Listener};
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;

pub(super) fn check_objects(
    store: &dyn ObjectStore,
    pool: &Pool,
    full: bool,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(usize, Option<usize>), FsckError> {
    let (Listing { objects, strangers }, listed) = match store.list() {
        Err(StoreError::Unlisted { .. }) => (ask_for_objects(store, pool, listener, findings)?, false),
        listing => (listing?, true),
    };
    for path in strangers {
        findings.push(Finding { kind: FindingKind::Object, path, fault: "it is no object; nothing refers to it".to_owned() });
    }
    let present: BTreeMap<ObjectId, u64> = objects.iter().map(|stored| (stored.oid, stored.size)).collect();
    let mut named: BTreeMap<ObjectId, (Pointer, &PoolPath)> = BTreeMap::new();
    for (path, pointer) in pool {
        named.entry(pointer.oid).or_insert((*pointer, path));
    }
    for (oid, (pointer, path)) in &named {
        let fault = match present.get(oid).copied() {
            None => format!("the object of {path} is missing; deploy that build output again, or restore the object from a backup"),
            Some(size) if size != pointer.size => {
                format!("it has {size} bytes, the pointer {path} says {}; deploy that build output again", pointer.size)
            }
            Some(_) => continue,
        };
        findings.push(Finding { kind: FindingKind::Object, path: oid.to_string(), fault });
    }
    if full {
        listener(Event::Begin { step: "hashing objects", parts: objects.len() });
        let hash = || -> Result<Vec<Option<Finding>>, StoreError> {
            let hashed = objects.par_iter().map(|stored| {
                let found = hash_object(store, &stored.oid)?;
                listener(Event::Part { name: stored.oid.to_string() });
                let of = named.get(&stored.oid).map(|(_, path)| format!(" (of {path})")).unwrap_or_default();
                Ok(found.map(|found| Finding {
                    kind: FindingKind::Object,
                    path: stored.oid.to_string(),
                    fault: format!("{found}{of}; remove it and deploy that build output again, or restore it from a backup"),
                }))
            });
            hashed.collect()
        };
        let wrong: Vec<Finding> = in_parallel(store, hash)?.into_iter().flatten().collect();
        listener(Event::End);
        findings.extend(wrong);
    }
    let unreferenced = listed.then(|| present.keys().filter(|oid| !named.contains_key(oid)).count());
    Ok((present.len(), unreferenced))
}

/// Returns the objects of the pool that a store has which cannot be listed.
fn ask_for_objects(
    store: &dyn ObjectStore,
    pool: &Pool,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Listing, StoreError> {
    let pointers: BTreeSet<Pointer> = pool.values().copied().collect();
    let pointers: Vec<Pointer> = pointers.into_iter().collect();
    listener(Event::Begin { step: "asking for objects", parts: pointers.len() });
    let mut listing = Listing::default();
    for chunk in pointers.chunks(1000) {
        store.announce(Intent::Open, chunk)?;
        let ask = |Pointer { oid, .. }: &Pointer| {
            let size = match store.size(oid) {
                Err(fault @ StoreError::OtherSize { .. }) => Err(fault.to_string()),
                size => Ok(size?),
            };
            listener(Event::Part { name: oid.to_string() });
            Ok((*oid, size))
        };
        for (oid, size) in chunk.par_iter().map(ask).collect::<Result<Vec<_>, StoreError>>()? {
            match size {
                Ok(Some(size)) => listing.objects.push(Stored { oid, size, modified: Timestamp(0) }),
                Ok(None) => {}
                Err(fault) => findings.push(Finding { kind: FindingKind::Object, path: oid.to_string(), fault }),
            }
        }
    }
    listener(Event::End);
    Ok(listing)
}

/// Says what is wrong with an object's bytes, `None` where nothing is.
fn hash_object(store: &dyn ObjectStore, oid: &ObjectId) -> Result<Option<String>, StoreError> {
    match digest_of(store.open(oid)?) {
        Ok(found) if found.sha256 == *oid => Ok(None),
        Ok(found) => Ok(Some(format!("its bytes have sha256 {}", found.sha256))),
        // What a store says that compares while it reads.
        Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData => Ok(Some(fault.to_string())),
        Err(source) => Err(StoreError::Io { store: store.describe(), operation: format!("read object {oid}"), source }),
    }
}
