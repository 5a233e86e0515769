//! What passes between old holders and new members: parcels of old pieces, and the public key for a newcomer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use organtwin_protocol::digest::Digest;
use organtwin_protocol::epoch;
use organtwin_protocol::evidence::Evidence;
use organtwin_threshold::{Collector, PartyId, PieceId, ReshareError, SessionId};
use zeroize::Zeroizing;

use crate::hospital::error::NodeError;
use crate::hospital::node::Node;
use crate::hospital::peers::Private;
use crate::jobs::keys;
use crate::net::codec::MAX_PART;
use crate::net::{Network, Request, Response};
use crate::store::durable::{self, Mode};

/// Rounds over a piece's holders before it counts as not to be had.
const ROUNDS: u32 = 240;
const PAUSE: Duration = Duration::from_millis(250);
/// Largest public key that is fetched, bytes.
const MAX_PUBLIC: u64 = 8 << 30;

impl Node {
    /// Gives a new member its parcel of an old piece (E6).
    pub(in crate::hospital) fn give_parcel(
        &mut self,
        to: PartyId,
        session: &SessionId,
        piece: PieceId,
    ) -> Response {
        if !epoch::may_collect(&self.fold, session, to) {
            return Response::Unavailable;
        }
        let offer = self.change.offer.clone();
        match offer.filter(|offer| offer.resharing().session == *session) {
            Some(offer) => offer
                .parcel(piece, to)
                .map_or(Response::Refused, |parcel| Response::Chunk(parcel.to_vec())),
            None => {
                // Started again since it was stated: the same is computed once more.
                if let Err(error) = self.compute_offer(*session) {
                    tracing::warn!(%error, "no offer");
                }
                Response::Unavailable
            }
        }
    }

    /// Fetches a parcel of every old piece from whoever stated what was accepted (E6 to E8).
    pub(super) fn collect(
        &mut self,
        session: SessionId,
        accepted: BTreeMap<PieceId, (Digest, Vec<PartyId>)>,
    ) -> Result<(), NodeError> {
        let (me, resharing) = (self.me, self.resharing(session)?);
        let digests = accepted
            .iter()
            .map(|(piece, (digest, _))| (*piece, *digest));
        let (params, key) = (self.parameters()?, self.certified_key()?);
        let mut collector = Collector::new(&resharing, me, params, key, digests.collect())
            .map_err(|error| NodeError::Bug(error.to_string()))?;
        if let Some(offer) = &self.change.offer
            && offer.resharing().session == session
        {
            collector.take_own(offer);
        }
        let slot = self.secrets_of(session)?.collector.clone();
        let net = self.net.clone();
        self.wait(
            async move {
                let wrong = fetch_parcels(&net, me, session, &accepted, &mut collector).await;
                let missing = collector.missing();
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(collector);
                match missing.first() {
                    None => Ok(wrong),
                    Some(piece) => Err(format!("nobody gave this party its part of the {piece}")),
                }
            },
            move |node, outcome| {
                for (party, what) in outcome.iter().flatten() {
                    node.note_fault(format!("party {party}: {what}"));
                }
                node.finish_change(session, outcome, |runner, wrong| {
                    let wrong = wrong
                        .into_iter()
                        .map(|(party, what)| Evidence::Claim { party, what });
                    runner.local.wrong_parcels.extend(wrong);
                    runner.local.collected = Some(session);
                })
            },
        );
        Ok(())
    }
}

async fn fetch_parcels(
    net: &Network,
    me: PartyId,
    session: SessionId,
    accepted: &BTreeMap<PieceId, (Digest, Vec<PartyId>)>,
    collector: &mut Collector,
) -> Vec<(PartyId, String)> {
    let mut wrong: Vec<(PartyId, String)> = Vec::new();
    for round in 0..ROUNDS {
        for piece in collector.missing() {
            let Some((_, holders)) = accepted.get(&piece) else {
                continue;
            };
            let mut holders: Vec<PartyId> = holders.iter().copied().filter(|p| *p != me).collect();
            // Spread the load: every new member begins elsewhere.
            let most = holders.len().max(1);
            holders.rotate_left(me.index() % most);
            for holder in holders {
                if wrong.iter().any(|(party, _)| *party == holder) {
                    continue;
                }
                let wanted = Private::ParcelWanted { session, piece };
                let Ok(request) = wanted.request() else {
                    continue;
                };
                let Ok(Response::Chunk(parcel)) = net.request(holder, request).await else {
                    continue;
                };
                let parcel = Zeroizing::new(parcel);
                match collector.take(piece, &parcel) {
                    Ok(()) => break,
                    Err(ReshareError::Length { .. } | ReshareError::Mismatch(_)) => {
                        let what = format!("sent a part of the {piece} that is not what it signed");
                        wrong.push((holder, what));
                    }
                    Err(_) => {}
                }
            }
        }
        if collector.missing().is_empty() {
            break;
        }
        if round + 1 < ROUNDS {
            tokio::time::sleep(PAUSE).await;
        }
    }
    wrong
}

/// One part of the public key's file.
pub(in crate::hospital) fn part_of(path: &Path, offset: u64) -> std::io::Result<Response> {
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset.min(total)))?;
    let mut bytes = Vec::new();
    file.take(MAX_PART as u64).read_to_end(&mut bytes)?;
    Ok(Response::Part { total, bytes })
}

/// Brings the public key here, if it is not; nothing of it is believed before its digest fits.
pub(super) async fn fetch_public(
    net: &Network,
    holders: &[PartyId],
    key: Digest,
    path: &Path,
) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let place = path.parent().ok_or("the public key has no directory")?;
    fs::create_dir_all(place).map_err(|error| text(&error))?;
    let mut last = "nobody of the old committee is connected".to_owned();
    for holder in holders
        .iter()
        .filter(|holder| net.connected().contains(holder))
    {
        let temporary = durable::temporary_beside(path);
        let fetched = fetch_file(net, *holder, key, &temporary).await;
        let checked = match fetched {
            Ok(file) => {
                let (temporary, path) = (temporary.clone(), path.to_path_buf());
                let checked = tokio::task::spawn_blocking(move || {
                    keys::read_public(&temporary, key).map_err(|error| error.to_string())?;
                    let file = file.into_inner().unwrap_or_else(PoisonError::into_inner);
                    durable::publish(&file, &temporary, &path).map_err(|error| error.to_string())
                });
                checked.await.map_err(|error| error.to_string())?
            }
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => return Ok(()),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                last = format!("party {holder}'s public key is of no use: {error}");
            }
        }
    }
    Err(last)
}

async fn fetch_file(
    net: &Network,
    holder: PartyId,
    key: Digest,
    path: &Path,
) -> Result<Mutex<File>, String> {
    let mut file = durable::create(path, Mode::Public).map_err(|error| error.to_string())?;
    let mut offset = 0u64;
    loop {
        let request = Request::Blob {
            hash: *key.as_bytes(),
            offset,
        };
        let answer = net.request(holder, request).await;
        let Ok(Response::Part { total, bytes }) = answer else {
            return Err("it gave no part of it".to_owned());
        };
        let length = offset.saturating_add(bytes.len() as u64);
        if total > MAX_PUBLIC || length > total || (bytes.is_empty() && length < total) {
            return Err("its length is wrong".to_owned());
        }
        file.write_all(&bytes).map_err(|error| error.to_string())?;
        offset = length;
        if offset == total {
            return Ok(Mutex::new(file));
        }
    }
}
