//! stub
#![allow(missing_docs)]
use std::{collections::BTreeMap, fmt, path::PathBuf};
#[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum Severity { Error, Warning, Note }
#[derive(Clone, Debug)] pub struct Diagnostic { pub severity: Severity }
impl fmt::Display for Diagnostic { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("") } }
impl Diagnostic { pub fn to_json(&self) -> serde_json::Value { serde_json::Value::Null } }
#[derive(Clone, Debug)] pub struct Source;
impl Source { pub fn new(_: impl Into<String>, _: impl Into<String>) -> Self { Self } }
#[derive(Clone, Debug, Default)] pub struct Options { pub strict: bool, pub namespace: Option<String>, pub workload_labels: BTreeMap<String,String> }
#[derive(Debug)] pub struct ReadError; impl fmt::Display for ReadError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("") } }
pub struct Loaded { pub model: Option<crate::model::Model>, pub diagnostics: Vec<Diagnostic> }
pub fn read_paths(_: &[PathBuf], _: &[PathBuf]) -> Result<Vec<Source>, ReadError> { Ok(vec![]) }
pub fn load(_: &[Source], _: &Options) -> Loaded { Loaded { model: None, diagnostics: vec![] } }
