//! What a run puts out: text, JSON, CSV, SVG.
