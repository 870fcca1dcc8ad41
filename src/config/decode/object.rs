//! Mappings whose fields are known.

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    field::{Field, Name},
    nearest::nearest,
};
use crate::config::{
    diagnostic::{Place, Severity},
    document::{Key, Node, Value},
};

/// A mapping with a known set of fields.
pub(in crate::config) struct Object<'a> {
    field: Field<'a>,
    entries: &'a [(Key, Node)],
    asked: RefCell<Vec<&'static str>>,
    lenient: bool,
}

// === impl Field ===

impl<'a> Field<'a> {
    /// A mapping whose fields are known.
    pub(in crate::config) fn object(&self) -> Option<Object<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong("a mapping", "");
            return None;
        };
        Some(Object::new(self.clone(), entries))
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    pub(in crate::config) fn new(field: Field<'a>, entries: &'a [(Key, Node)]) -> Self {
        Self {
            field,
            entries,
            asked: RefCell::default(),
            lenient: false,
        }
    }

    /// Ignores fields that are not asked for.
    pub(in crate::config) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    pub(in crate::config) fn field(&self) -> &Field<'a> {
        &self.field
    }

    pub(in crate::config) fn place(&self) -> Place {
        self.field.place()
    }

    pub(in crate::config) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of the fields given.
    pub(in crate::config) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.entries.iter().map(|(key, _)| key.text.as_str())
    }

    /// A field as written, null included.
    pub(in crate::config) fn raw(&self, name: &'static str) -> Option<Field<'a>> {
        self.asked.borrow_mut().push(name);
        let (key, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        Some(self.field.entry(key, node))
    }

    /// A field; null is reported and counts as absent.
    pub(in crate::config) fn get(&self, name: &'static str) -> Option<Field<'a>> {
        let field = self.raw(name)?;
        if field.is_null() {
            if !self.lenient {
                field.warn(
                    "null-value",
                    format!("`{name}` is null and counts as absent"),
                    "remove the field or give it a value; the Kubernetes API server refuses null here",
                );
            }
            return None;
        }
        Some(field)
    }

    /// A field that must be there.
    pub(in crate::config) fn require(&self, name: &'static str) -> Option<Field<'a>> {
        let field = self.get(name);
        if field.is_none() {
            let message = format!("`{name}` is missing");
            let hint = self.field.form_of(name).unwrap_or_default();
            self.field.error("missing-field", message, hint);
        }
        field
    }

    pub(in crate::config) fn str(&self, name: &'static str) -> Option<&'a str> {
        self.get(name)?.str()
    }

    pub(in crate::config) fn bool(&self, name: &'static str) -> Option<bool> {
        self.get(name)?.bool()
    }

    pub(in crate::config) fn object(&self, name: &'static str) -> Option<Self> {
        self.get(name)?.object()
    }

    pub(in crate::config) fn list(&self, name: &'static str) -> Vec<Field<'a>> {
        self.get(name).map(|field| field.list()).unwrap_or_default()
    }

    pub(in crate::config) fn labels(&self, name: &'static str) -> Option<BTreeMap<String, String>> {
        self.get(name).map(|field| field.labels())
    }

    /// A valid field that has no effect (yet): reported if given.
    pub(in crate::config) fn not_in_force(
        &self,
        name: &'static str,
        severity: Severity,
        effect: &str,
    ) {
        if let Some(field) = self.get(name) {
            let message = format!("`{name}` is valid but not in force in llmesh: {effect}");
            let place = field.place();
            field
                .report()
                .add(&place, severity, "not-in-force", message, "");
        }
    }

    /// Exactly one of some fields, or none. Null is none.
    pub(in crate::config) fn one_of(&self, names: &[&'static str]) -> Option<&'static str> {
        self.asked.borrow_mut().extend(names);
        let mut given = names
            .iter()
            .filter(|name| self.field.step(name).is_some_and(|f| !f.is_null()));
        let first = given.next()?;
        if let Some(second) = given.next() {
            self.field.error(
                "one-of",
                format!("`{first}` and `{second}` exclude each other"),
                "keep one of them",
            );
        }
        Some(first)
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        if self.lenient {
            return;
        }
        let asked = self.asked.borrow();
        for (key, node) in self.entries {
            let name = key.text.as_str();
            if asked.contains(&name) {
                continue;
            }
            let field = self.field.child(Name::Key(name), node);
            let mut place = field.place();
            (place.line, place.column) = (key.line, key.column);
            let hint = if name == "<<" {
                "what is merged must be a mapping, or a list of mappings".to_owned()
            } else {
                let near = || nearest(name, asked.iter().copied());
                field
                    .known_elsewhere()
                    .or_else(|| near().map(|near| format!("did you mean `{near}`?")))
                    .or_else(|| field.under_spec())
                    .unwrap_or_default()
            };
            let message = format!("`{name}` is not a field here");
            field.report().error(&place, "unknown-field", message, hint);
        }
    }
}
