//! The issuer's pages: a button a person, and what went wrong.

use std::fmt::Write as _;

use crate::demo::issuer::people::PEOPLE;

/// The page on which somebody says who they are. `ticket` is of our own making and needs no escaping.
#[must_use]
pub fn choose(ticket: &str) -> String {
    let mut buttons = String::new();
    for person in PEOPLE.iter().filter(|person| person.kind == "person") {
        // Writing to a `String` can't fail.
        let _ = write!(
            buttons,
            "<button name=\"sub\" value=\"{sub}\" id=\"{sub}\"><b>{name}</b> · {role} <small>{email}</small></button>",
            sub = person.sub,
            name = person.name,
            role = person.role,
            email = person.email,
        );
    }
    frame(
        "Who are you today?",
        &format!(
            "<form method=\"post\" action=\"/authorize\"><input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\
             {buttons}</form>"
        ),
    )
}

/// A request that can't be answered; `why` is one of our own sentences.
#[must_use]
pub fn refused(why: &'static str) -> String {
    frame("This can't be answered", &format!("<p>{why}</p>"))
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} · dbgate demo</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:10vh auto;padding:0 1em;color:#222;\
         background:#fff}}button{{display:block;width:100%;font:inherit;text-align:left;padding:.8em 1em;\
         margin:.6em 0;border:1px solid #999;border-radius:.4em;background:#f6f6f6;color:#222;cursor:pointer}}\
         small{{color:#555}}.note{{background:#fff3cd;color:#5c4400;padding:.6em 1em;border-radius:.4em}}</style>\
         <p class=\"note\">This is the sign-in of <b>dbgate demo</b>. It asks for no password and knows nobody real.</p>\
         <h1>{title}</h1>{body}</html>\n"
    )
}
