//! The scenario file: schema, diagnostics, imports, lowering.
