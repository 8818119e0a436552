//! Mistakes that the simulator must find have one form: `stdx::bug!("name", MISTAKE);` before everything else in a
//! function. Where one stands within an expression or a loop, nobody can read past it what the code does.

use syn::{
    Block, Expr, ImplItem, Item, LitStr, Macro, Stmt, Token, TraitItem,
    parse::{Parse, ParseStream},
};

use super::sources::{File, House};

const NAME: &str = "bug";

pub fn broken(house: &House) -> Vec<String> {
    house.files.iter().filter(|file| file.is_of_library()).filter_map(why_broken).collect()
}

fn why_broken(file: &File) -> Option<String> {
    let path = file.path.display();
    if !file.text.contains("bug!") {
        return None;
    }
    // As tokens there are neither comments nor spaces to a writer's taste, and texts are told from code.
    let whole: Macro = syn::parse_str(&format!("file! {{ {} }}", file.text)).ok()?;
    let all = whole.tokens.to_string().matches(&format!(" {NAME} ! (")).count();
    // What does not parse does not compile either, and others say so better.
    let parsed = syn::parse_file(&file.text).ok()?;
    let mut heads = Vec::new();
    for item in &parsed.items {
        add_heads(item, &mut heads);
    }
    if heads.len() < all {
        let astray = all - heads.len();
        return Some(format!("{path}: {astray} of {all} stand not at the head of a function"));
    }
    let wrong = heads.iter().find_map(|head| head.parse_body::<Mistake>().err())?;
    Some(format!("{path}: {wrong}"))
}

/// What lies between the parentheses.
struct Mistake;

impl Parse for Mistake {
    fn parse(input: ParseStream<'_>) -> syn::Result<Mistake> {
        input.parse::<LitStr>()?;
        input.parse::<Token![,]>()?;
        match input.parse::<Expr>()? {
            Expr::Return(_) | Expr::Assign(_) | Expr::Call(_) | Expr::MethodCall(_) => Ok(Mistake),
            _ => Err(input.error("a mistake returns, assigns or calls")),
        }
    }
}

fn add_heads<'a>(item: &'a Item, heads: &mut Vec<&'a Macro>) {
    let mut add = |block: &'a Block| heads.extend(block.stmts.iter().map_while(mistake));
    match item {
        Item::Fn(function) => add(&function.block),
        Item::Impl(part) => {
            for item in &part.items {
                if let ImplItem::Fn(function) = item {
                    add(&function.block);
                }
            }
        }
        Item::Trait(part) => {
            for item in &part.items {
                if let TraitItem::Fn(function) = item {
                    function.default.iter().for_each(&mut add);
                }
            }
        }
        Item::Mod(part) => part.content.iter().flat_map(|(_, items)| items).for_each(|item| add_heads(item, heads)),
        _ => {}
    }
}

fn mistake(statement: &Stmt) -> Option<&Macro> {
    let Stmt::Macro(statement) = statement else { return None };
    statement.mac.path.segments.last().is_some_and(|last| last.ident == NAME).then_some(&statement.mac)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn is_well_formed(text: &str) -> bool {
        let path = PathBuf::from("crates/x/src/a.rs");
        why_broken(&File { path, crate_name: "x".into(), text: text.into() }).is_none()
    }

    #[test]
    fn a_mistake_stands_at_the_head_of_a_function() {
        assert!(is_well_formed(r#"fn f() { stdx::bug!("a", return); stdx::bug!("b", g(1)); g(0) }"#));
        assert!(is_well_formed(r#"impl A { fn f(mut b: u8) { stdx::bug!("a", b = 1); g(b) } } // bug!("b")"#));
        assert!(!is_well_formed(r#"fn f() { g(0); stdx::bug!("a", return); }"#));
        assert!(!is_well_formed(r#"fn f() -> bool { g(0) || stdx::bug!("a", return true) }"#));
        assert!(!is_well_formed(r#"fn f() { for i in 0..2 { stdx::bug!("a", return); } }"#));
    }

    #[test]
    fn a_mistake_returns_assigns_or_calls() {
        assert!(!is_well_formed(r#"fn f() { stdx::bug!("a"); }"#));
        assert!(!is_well_formed(r#"fn f() { stdx::bug!("a", if g(0) { return }); }"#));
    }
}
