//! What is known of values without looking at rows: constants, and what is never NULL.

use std::cmp::Ordering;

use crate::sql::analyze::statement::restrict::{Condition, Truth, last};
use crate::sql::parse::nodes::{A_Expr_Kind, SubLinkType};
use crate::sql::parse::{ConstValue, Node, nodes};

/// Columns that every stored row has.
const SYSTEM: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

impl Condition<'_> {
    /// Whether an expression gives NULL for no row, or for none where nothing is NULL.
    pub(super) fn is_never_null(&self, node: Node<'_>, depth: u16) -> bool {
        if depth > 50 {
            return false;
        }
        let deeper = |inner: Node<'_>| self.is_never_null(inner, depth.saturating_add(1));
        match node {
            Node::ColumnRef(column) => self.is_stored(column),
            Node::A_Const(constant) => !constant.isnull,
            Node::TypeCast(cast) => deeper(cast.arg()),
            Node::CollateClause(collate) => deeper(collate.arg()),
            Node::NodeList(list) => list.iter().all(deeper),
            Node::RowExpr(row) => row.args().iter().all(deeper),
            Node::BoolExpr(expression) => expression.args().iter().all(deeper),
            Node::CoalesceExpr(coalesce) => coalesce.args().iter().any(deeper),
            Node::MinMaxExpr(both) => both.args().iter().any(deeper),
            Node::NullTest(_)
            | Node::BooleanTest(_)
            | Node::A_ArrayExpr(_)
            | Node::SQLValueFunction(_) => true,
            Node::SubLink(link) => matches!(
                link.sub_link_type,
                SubLinkType::EXISTS_SUBLINK | SubLinkType::ARRAY_SUBLINK
            ),
            Node::A_Expr(expression) => {
                let computes = match expression.kind {
                    A_Expr_Kind::AEXPR_DISTINCT | A_Expr_Kind::AEXPR_NOT_DISTINCT => return true,
                    A_Expr_Kind::AEXPR_NULLIF => false,
                    A_Expr_Kind::AEXPR_OP => matches!(
                        last(expression),
                        Some(
                            "||" | "+"
                                | "-"
                                | "*"
                                | "="
                                | "<>"
                                | "!="
                                | "<"
                                | "<="
                                | ">"
                                | ">="
                                | "~~"
                                | "~"
                        )
                    ),
                    _ => true,
                };
                let left = expression.lexpr();
                computes
                    && (matches!(left, Node::None) || deeper(left))
                    && deeper(expression.rexpr())
            }
            Node::FuncCall(call) => match called(call) {
                Some("concat" | "num_nulls" | "num_nonnulls" | "pg_typeof") => true,
                Some(
                    "lower" | "upper" | "length" | "char_length" | "octet_length" | "md5" | "abs"
                    | "btrim" | "ltrim" | "rtrim" | "initcap" | "reverse" | "left" | "right"
                    | "substr" | "replace" | "hashtext" | "round" | "floor" | "ceil" | "to_char"
                    | "date_trunc" | "format" | "quote_literal" | "to_json" | "to_jsonb" | "ascii",
                ) => call.args().iter().all(deeper),
                _ => false,
            },
            _ => false,
        }
    }

    /// A column that may not be NULL, one of the system's, or the row as a whole.
    fn is_stored(&self, column: &nodes::ColumnRef) -> bool {
        let names: Vec<&str> = column.fields().iter().filter_map(Node::as_str).collect();
        let star = names.len() != column.fields().len();
        match names.as_slice() {
            [.., name] if star => self.own.iter().any(|own| own == name),
            [.., of, _] if self.others.iter().any(|other| other == of) => false,
            [.., name] => match self.relation.column(name) {
                Some(column) => column.not_null,
                None => SYSTEM.contains(name) || self.own.iter().any(|own| own == name),
            },
            [] => false,
        }
    }

    /// `tableoid` of a table without parts.
    fn is_of_all_rows(&self, column: &nodes::ColumnRef) -> bool {
        let name = column.fields().iter().filter_map(Node::as_str).next_back();
        name == Some("tableoid") && self.relation.children.is_empty()
    }

    /// Whether a stored column has a say in an expression.
    pub(super) fn mentions_column(&self, node: Node<'_>, depth: u16) -> bool {
        if depth > 200 {
            return true;
        }
        let deeper = |inner: Node<'_>| self.mentions_column(inner, depth.saturating_add(1));
        match node {
            Node::ColumnRef(column) => !self.is_of_all_rows(column),
            Node::CurrentOfExpr(_) => true,
            Node::A_Expr(expression) => {
                !self.is_levelled(expression)
                    && (deeper(expression.lexpr()) || deeper(expression.rexpr()))
            }
            Node::NodeList(list) => list.iter().any(deeper),
            Node::TypeCast(cast) => deeper(cast.arg()),
            Node::CollateClause(collate) => deeper(collate.arg()),
            Node::FuncCall(call) => {
                let counts = matches!(called(call), Some("num_nulls" | "num_nonnulls"))
                    && call.args().iter().all(|node| self.is_never_null(node, 0));
                !counts && !is_empty_handed(call) && call.args().iter().any(deeper)
            }
            Node::BoolExpr(expression) => expression.args().iter().any(deeper),
            Node::NullTest(test) => deeper(test.arg()),
            Node::BooleanTest(test) => deeper(test.arg()),
            Node::CoalesceExpr(coalesce) => coalesce.args().iter().any(deeper),
            Node::MinMaxExpr(both) => both.args().iter().any(deeper),
            Node::RowExpr(row) => row.args().iter().any(deeper),
            Node::A_ArrayExpr(array) => array.elements().iter().any(deeper),
            Node::A_Indirection(indirection) => deeper(indirection.arg()),
            Node::NamedArgExpr(named) => deeper(named.arg()),
            Node::CaseExpr(case) => {
                deeper(case.arg())
                    || deeper(case.defresult())
                    || case.args().iter().any(|when| match when {
                        Node::CaseWhen(when) => deeper(when.expr()) || deeper(when.result()),
                        _ => true,
                    })
            }
            Node::SubLink(link) => self.sublink(link, depth.saturating_add(1)) == Truth::Depends,
            Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_) | Node::None => false,
            _ => true,
        }
    }

    /// Arithmetic whose outcome is the same for every row: `id - id`, `id * 0`, `id % 1`.
    fn is_levelled(&self, expression: &nodes::A_Expr) -> bool {
        let (left, right) = (expression.lexpr(), expression.rexpr());
        let is = |node, value: f64| {
            number(node, 0).is_some_and(|number| number.total_cmp(&value).is_eq())
        };
        expression.kind == A_Expr_Kind::AEXPR_OP
            && match last(expression) {
                Some("-" | "/" | "#") => self.same(left, right, 0),
                Some("*" | "&") => is(left, 0.0) || is(right, 0.0),
                Some("%") => is(right, 1.0),
                Some("^") => is(right, 0.0),
                _ => false,
            }
    }

    /// Whether both sides are made of one and the same column, and constants.
    pub(super) fn is_of_one_column(&self, left: Node<'_>, right: Node<'_>) -> bool {
        let mut names = [Vec::new(), Vec::new()];
        let [one, other] = &mut names;
        if !self.columns(left, one, 0) || !self.columns(right, other, 0) {
            return false;
        }
        let Some(first) = one.first() else {
            return false;
        };
        !other.is_empty() && one.iter().chain(other.iter()).all(|name| name == first)
    }

    /// The columns of the relation in an expression; `false` when something else has a say, too.
    fn columns(&self, node: Node<'_>, names: &mut Vec<String>, depth: u16) -> bool {
        if depth > 50 {
            return false;
        }
        let deeper = depth.saturating_add(1);
        match node {
            Node::ColumnRef(column) => {
                let parts: Vec<&str> = column.fields().iter().filter_map(Node::as_str).collect();
                let foreign = parts.len() > 1
                    && parts
                        .iter()
                        .rev()
                        .nth(1)
                        .is_some_and(|of| self.others.iter().any(|other| other == of));
                names.extend(parts.last().map(|name| (*name).to_owned()));
                !foreign
            }
            Node::A_Const(_) | Node::None => true,
            Node::TypeCast(cast) => self.columns(cast.arg(), names, deeper),
            Node::CollateClause(collate) => self.columns(collate.arg(), names, deeper),
            Node::A_Expr(expression) if expression.kind == A_Expr_Kind::AEXPR_OP => {
                self.columns(expression.lexpr(), names, deeper)
                    && self.columns(expression.rexpr(), names, deeper)
            }
            Node::FuncCall(call) => call
                .args()
                .iter()
                .all(|node| self.columns(node, names, deeper)),
            Node::CoalesceExpr(coalesce) => {
                let mut args = coalesce.args().iter();
                args.all(|node| self.columns(node, names, deeper))
            }
            Node::MinMaxExpr(both) => both
                .args()
                .iter()
                .all(|node| self.columns(node, names, deeper)),
            Node::SubLink(link) => match link.subselect() {
                Node::SelectStmt(select) if select.from_clause().is_empty() => {
                    let targets = select.target_list().iter();
                    let mut targets = targets.map(nodes::ResTarget::val);
                    targets.all(|node| self.columns(node, names, deeper))
                }
                _ => false,
            },
            _ => false,
        }
    }
}

fn called(call: &nodes::FuncCall) -> Option<&str> {
    call.funcname().iter().filter_map(Node::as_str).next_back()
}

/// Functions that look for, or take, nothing: `left(k, 0)`, `strpos(k, '')`.
fn is_empty_handed(call: &nodes::FuncCall) -> bool {
    let nothing = |node: Node<'_>| {
        text(node).is_some_and(|text| text.is_empty())
            || number(node, 0).is_some_and(|number| number.total_cmp(&0.0).is_eq())
    };
    matches!(
        called(call),
        Some("left" | "right" | "strpos" | "position" | "starts_with" | "repeat")
    ) && call.args().iter().skip(1).any(nothing)
}

/// Functions that give no negative number.
pub(super) fn not_negative(node: Node<'_>) -> bool {
    let Node::FuncCall(call) = node else {
        return false;
    };
    let name = call.funcname().iter().filter_map(Node::as_str).next_back();
    matches!(
        name,
        Some(
            "length"
                | "char_length"
                | "character_length"
                | "octet_length"
                | "bit_length"
                | "abs"
                | "cardinality"
                | "pg_column_size"
        )
    )
}

/// Regular expressions that every text matches: all in them may be left out.
pub(super) fn matches_all(pattern: &str) -> bool {
    let whole = pattern.starts_with('^') && pattern.ends_with('$');
    let inner: Vec<char> = pattern
        .chars()
        .filter(|c| !matches!(c, '^' | '$' | '(' | ')'))
        .collect();
    if whole && inner.is_empty() {
        return false;
    }
    let mut rest = inner.as_slice();
    while let [letter, count, more @ ..] = rest {
        let plain = !matches!(letter, '\\' | '[' | '{' | '|');
        let free = match count {
            '*' => !whole || *letter == '.',
            '?' => !whole,
            _ => false,
        };
        if !plain || !free {
            return false;
        }
        rest = more.strip_prefix(&['?']).unwrap_or(more);
    }
    rest.is_empty()
}

/// A pattern of `LIKE` that every text matches.
pub(super) fn all_percent(node: Node<'_>) -> bool {
    text(node).is_some_and(|pattern| !pattern.is_empty() && pattern.chars().all(|c| c == '%'))
}

/// A truth that is written out.
pub(super) fn boolean(node: Node<'_>) -> Option<bool> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Boolean(truth) => Some(truth),
            _ => None,
        },
        Node::TypeCast(cast) => {
            let name = cast.type_name()?.names().iter().next_back()?.sval()?;
            if name != "bool" {
                return None;
            }
            match literal_truth(cast.arg())? {
                Truth::Always => Some(true),
                Truth::Never => Some(false),
                Truth::Depends => None,
            }
        }
        _ => None,
    }
}

pub(super) fn literal_truth(node: Node<'_>) -> Option<Truth> {
    let Node::A_Const(constant) = node else {
        return None;
    };
    match constant.val() {
        None => Some(Truth::Never),
        Some(ConstValue::Boolean(false)) => Some(Truth::Never),
        Some(ConstValue::String(text)) => {
            let no = [
                "f", "fa", "fal", "fals", "false", "n", "no", "off", "of", "0",
            ];
            Some(if no.contains(&text.trim().to_ascii_lowercase().as_str()) {
                Truth::Never
            } else {
                Truth::Always
            })
        }
        Some(ConstValue::Integer(0)) => Some(Truth::Never),
        Some(_) => Some(Truth::Always),
    }
}

/// How two constants compare.
pub(super) fn constants(one: Node<'_>, other: Node<'_>) -> Option<Ordering> {
    if let (Some(one), Some(other)) = (number(one, 0), number(other, 0)) {
        return one.partial_cmp(&other);
    }
    Some(text(one)?.cmp(&text(other)?))
}

pub(super) fn decided(name: &str, order: Ordering) -> Truth {
    let truth = match name {
        "=" => order.is_eq(),
        "<>" | "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => return Truth::Always,
    };
    if truth { Truth::Always } else { Truth::Never }
}

/// The number that a constant expression stands for.
pub(super) fn number(node: Node<'_>, depth: u16) -> Option<f64> {
    if depth > 20 {
        return None;
    }
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(number) => Some(f64::from(number)),
            ConstValue::Float(text) => text.parse().ok(),
            _ => None,
        },
        Node::TypeCast(cast) => number(cast.arg(), depth.saturating_add(1)),
        Node::A_Expr(expression) if expression.kind == A_Expr_Kind::AEXPR_OP => {
            let right = number(expression.rexpr(), depth.saturating_add(1))?;
            let name = expression
                .name()
                .iter()
                .filter_map(Node::as_str)
                .next_back()?;
            if matches!(expression.lexpr(), Node::None) {
                return match name {
                    "-" => Some(-right),
                    "+" => Some(right),
                    _ => None,
                };
            }
            let left = number(expression.lexpr(), depth.saturating_add(1))?;
            match name {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                _ => None,
            }
        }
        _ => None,
    }
}

pub(super) fn text(node: Node<'_>) -> Option<String> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::String(text) => Some(text.to_owned()),
            _ => None,
        },
        Node::TypeCast(cast) => text(cast.arg()),
        Node::A_Expr(expression) if last(expression) == Some("||") => {
            Some(text(expression.lexpr())? + &text(expression.rexpr())?)
        }
        _ => None,
    }
}
