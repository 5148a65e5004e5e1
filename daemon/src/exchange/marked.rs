//! A request body that is let go only after a mark is durable.
//!
//! HTTP asks for the body when the connection stands and the head is on its way. So nothing is marked where nobody could be
//! reached, and nothing that is worth one exchange leaves unmarked.

use super::person::{Mark, Marking};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// The mark could not be written, so the body was not sent.
#[derive(Debug, thiserror::Error)]
#[error("it could not be kept that the request is sent")]
pub(super) struct NotMarked;

/// A body behind its mark.
pub(super) struct Marked {
    bytes: Option<Bytes>,
    /// A mutex only so that the body can be shared; nobody ever waits for it.
    marking: Mutex<Marking>,
    sent: Arc<AtomicBool>,
}

impl Marked {
    /// The body, and what tells whether it was let go.
    pub(super) fn new(text: String, mark: &Mark) -> (Self, Arc<AtomicBool>) {
        let sent = Arc::new(AtomicBool::new(false));
        (Self { bytes: Some(text.into()), marking: Mutex::new(mark()), sent: sent.clone() }, sent)
    }
}

impl Body for Marked {
    type Data = Bytes;
    type Error = NotMarked;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotMarked>>> {
        if self.bytes.is_none() {
            return Poll::Ready(None);
        }
        let marking = self.marking.get_mut().unwrap_or_else(PoisonError::into_inner);
        let marked = ready!(marking.as_mut().poll(task));
        let bytes = self.bytes.take();
        if !marked {
            return Poll::Ready(Some(Err(NotMarked)));
        }
        self.sent.store(true, Ordering::Release);
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
