//! Datagrams for one peer, one behind the other in one buffer, so that the kernel can be given all of them at once.

/// All datagrams but the last have the same length, as UDP segmentation wants it.
#[derive(Debug, Default)]
pub struct Burst {
    bytes: Vec<u8>,
    segment: usize,
    /// Whether the last datagram may be followed by another.
    closed: bool,
}

impl Burst {
    /// What one UDP datagram can carry over IPv4, and so what the kernel takes for segmentation at once.
    pub const MAX: usize = 65_507;
    /// As many as Linux cuts one buffer into (`UDP_MAX_SEGMENTS` of older kernels).
    pub const MAX_DATAGRAMS: usize = 64;

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.segment = 0;
        self.closed = false;
    }

    /// Adds a datagram, made of these parts. The first sets the length of all; a shorter one is the last.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.is_empty() {
            self.segment = length;
        }
        debug_assert!(
            !self.closed && length <= self.segment,
            "a datagram behind a shorter one"
        );
        self.closed = length < self.segment;
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of every datagram but the last.
    pub fn segment(&self) -> usize {
        self.segment
    }

    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.segment.max(1))
    }
}
