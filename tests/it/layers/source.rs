//! The sources as the rules see them: which file uses names of which other file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Ident, ItemEnum, ItemMod, ItemStruct, ItemTrait, ItemType, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// The path of a module from the root.
pub type Module = Vec<String>;

/// A source file.
pub struct Source {
    /// The path below `src`.
    pub path: PathBuf,
    pub module: Module,
    pub text: String,
    /// The types that other files can name: structs, enums, traits and aliases with any `pub`, except in
    /// tests.
    pub types: Vec<String>,
    /// The names that its code uses, except in tests, as whole paths from the root.
    names: BTreeSet<Module>,
    /// Its re-exports: the new path, and the original item.
    re_exports: Vec<(Module, Module)>,
}

/// All source files.
pub struct Sources(Vec<Source>);

impl Sources {
    pub fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        walk(&src, "rs", &mut paths);
        assert!(paths.len() > 20, "the sources are where this test looks");
        Self(
            paths
                .iter()
                .map(|path| Source::new(path.strip_prefix(&src).unwrap(), fs::read_to_string(path).unwrap()))
                .collect(),
        )
    }

    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The modules that each module uses. Re-exports are followed to their origin.
    pub fn imports(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let modules: BTreeSet<&Module> = self.iter().map(|source| &source.module).collect();
        let re_exports: BTreeMap<&[String], &Module> = self
            .iter()
            .flat_map(|source| &source.re_exports)
            .map(|(name, item)| (name.as_slice(), item))
            .collect();
        let module_with = |name: &Module| {
            let mut item = name.clone();
            // Re-exports are nested at most once.
            for _ in 0..3 {
                let prefix = (1..=item.len()).rev().find(|end| re_exports.contains_key(&item[..*end]));
                let Some(end) = prefix else { break };
                item = [re_exports[&item[..end]].as_slice(), &item[end..]].concat();
            }
            (1..=item.len()).rev().find_map(|end| modules.get(&item[..end].to_vec()).copied())
        };
        let imported = |source: &Source| {
            let named = source.names.iter().filter_map(&module_with);
            named.filter(|module| **module != source.module).collect()
        };
        self.iter().map(|source| (&source.module, imported(source))).collect()
    }
}

impl Source {
    pub fn new(path: &Path, text: String) -> Self {
        let module = module_of(path);
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader =
            Reader { module: &module, types: Vec::new(), names: BTreeSet::new(), re_exports: Vec::new() };
        reader.visit_file(&file);
        let Reader { types, names, re_exports, .. } = reader;
        Self { path: path.to_owned(), module, text, types, names, re_exports }
    }

    /// The rooms that it uses.
    pub fn rooms(&self) -> BTreeSet<&str> {
        self.names.iter().filter_map(|name| name.first()).map(String::as_str).collect()
    }
}

/// Collects the names in a file.
struct Reader<'m> {
    module: &'m Module,
    types: Vec<String>,
    names: BTreeSet<Module>,
    re_exports: Vec<(Module, Module)>,
}

impl Reader<'_> {
    fn declare(&mut self, visibility: &Visibility, name: &Ident) {
        if !matches!(visibility, Visibility::Inherited) {
            self.types.push(name.to_string());
        }
    }

    /// The absolute path of `path`. A path that begins with none of `crate`, `self` and `super` may begin
    /// with a child; a path into a library has no match among the modules.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let above = path.iter().take_while(|name| *name == "super").count();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module, rest].concat()),
            "super" => {
                let kept = self.module.len().checked_sub(above)?;
                Some([&self.module[..kept], &path[above..]].concat())
            }
            _ => Some([self.module, path].concat()),
        }
    }

    fn take(&mut self, tree: &UseTree, front: &[String], is_public: bool) {
        let with = |name: &dyn ToString| [front, &[name.to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.take(&path.tree, &with(&path.ident), is_public),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take(tree, front, is_public));
            }
            UseTree::Glob(_) => (front.to_vec(), None),
            UseTree::Name(name) if name.ident == "self" => (front.to_vec(), front.last().cloned()),
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(name) => (with(&name.ident), Some(name.rename.to_string())),
        };
        let Some(item) = self.absolute(&path) else { return };
        match name {
            Some(name) if is_public => {
                self.re_exports.push(([self.module.as_slice(), &[name]].concat(), item))
            }
            _ => {
                self.names.insert(item);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.declare(&item.vis, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.declare(&item.vis, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.declare(&item.vis, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.declare(&item.vis, &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.take(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Module = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.names.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // A macro's tokens are not parsed, but the paths in them look like any other.
        let tokens = call.tokens.to_string().replace(" :: ", "::");
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in tokens.split(|c| !is_part(c)).filter(|word| word.contains("::")) {
            let names: Module = path.split("::").map(str::to_owned).collect();
            self.names.extend(self.absolute(&names));
        }
        visit::visit_macro(self, call);
    }
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

/// The files below `folder` with the extension `extension`.
pub fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut names: Module = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| ["mod", "lib"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

#[test]
fn the_reader_sees_groups_paths_and_macros_and_no_tests() {
    let text = "
        use super::{a::{B, C as D}, e};
        use actix_web::{self, web};
        pub use self::f::G;
        fn h() { crate::base::time::now(); select! { _ = super::super::i::j() => k::l() } }
        #[cfg(test)]
        mod tests { use crate::m::N; }";
    let source = Source::new(Path::new("room/file.rs"), text.to_owned());
    let names: Vec<String> = source.names.iter().map(|name| name.join("::")).collect();
    for name in ["room::a::B", "room::a::C", "room::e", "base::time::now", "i::j", "room::file::k::l"] {
        assert!(names.contains(&name.to_owned()), "{name} is not in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains('N') || name.contains('G')), "{names:?}");
    let [(name, item)] = source.re_exports.as_slice() else { panic!("{:?}", source.re_exports) };
    assert_eq!(
        (name.join("::"), item.join("::")),
        ("room::file::G".to_owned(), "room::file::f::G".to_owned())
    );
}

#[test]
fn the_reader_lists_the_types_that_other_files_can_name() {
    let text = "
        pub struct A; pub(crate) enum B {} pub(super) trait C {} pub(in crate::room) type D = A; struct E;
        mod inner { pub struct F; }
        #[cfg(test)]
        mod tests { pub struct G; }";
    let source = Source::new(Path::new("room/file.rs"), text.to_owned());
    assert_eq!(source.types, ["A", "B", "C", "D", "F"]);
}
