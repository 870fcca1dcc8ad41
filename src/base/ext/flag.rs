//! Envoy's response flags.

/// An Envoy response flag, as in its access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "named and described by Envoy: `%RESPONSE_FLAGS%`"
)]
pub enum Flag {
    UH,
    UF,
    UO,
    NR,
    NC,
    URX,
    UT,
    DC,
    LR,
    UR,
    UC,
    DI,
    FI,
    RL,
    DPE,
    UPE,
    SI,
}

impl Flag {
    /// The flag as Envoy writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UH => "UH",
            Self::UF => "UF",
            Self::UO => "UO",
            Self::NR => "NR",
            Self::NC => "NC",
            Self::URX => "URX",
            Self::UT => "UT",
            Self::DC => "DC",
            Self::LR => "LR",
            Self::UR => "UR",
            Self::UC => "UC",
            Self::DI => "DI",
            Self::FI => "FI",
            Self::RL => "RL",
            Self::DPE => "DPE",
            Self::UPE => "UPE",
            Self::SI => "SI",
        }
    }
}
