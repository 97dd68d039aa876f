//! Expressions that are the same by their text, and pairs that leave nothing out.

use std::cmp::Ordering;

use crate::sql::analyze::statement::restrict::value::{constants, number};
use crate::sql::analyze::statement::restrict::{Condition, last};
use crate::sql::parse::nodes::{A_Expr_Kind, BoolExprType};
use crate::sql::parse::{List, Node, nodes};

impl Condition<'_> {
    /// `a OR NOT a`: two comparisons of the same that leave nothing out.
    pub(super) fn complementary(&self, list: &List) -> bool {
        let parts: Vec<Node<'_>> = list.iter().take(64).collect();
        parts.iter().enumerate().any(|(index, one)| {
            let rest = parts.iter().skip(index.saturating_add(1));
            rest.into_iter().any(|other| self.opposite(*one, *other))
        })
    }

    fn opposite(&self, one: Node<'_>, other: Node<'_>) -> bool {
        match (one, other) {
            (Node::NullTest(one), Node::NullTest(other)) => {
                one.nulltesttype != other.nulltesttype && self.same(one.arg(), other.arg(), 0)
            }
            (Node::BooleanTest(one), Node::BooleanTest(other)) => {
                use nodes::BoolTestType as Test;
                let pair = matches!(
                    (one.booltesttype, other.booltesttype),
                    (Test::IS_TRUE, Test::IS_NOT_TRUE)
                        | (Test::IS_NOT_TRUE, Test::IS_TRUE)
                        | (Test::IS_FALSE, Test::IS_NOT_FALSE)
                        | (Test::IS_NOT_FALSE, Test::IS_FALSE)
                        | (Test::IS_UNKNOWN, Test::IS_NOT_UNKNOWN)
                        | (Test::IS_NOT_UNKNOWN, Test::IS_UNKNOWN)
                );
                pair && self.same(one.arg(), other.arg(), 0)
            }
            (Node::BoolExpr(not), inner) | (inner, Node::BoolExpr(not))
                if not.boolop == BoolExprType::NOT_EXPR =>
            {
                not.args()
                    .first()
                    .is_some_and(|arg| self.same(arg, inner, 0))
            }
            (Node::A_Expr(one), Node::A_Expr(other)) => self.pair(one, other),
            _ => false,
        }
    }

    fn pair(&self, one: &nodes::A_Expr, other: &nodes::A_Expr) -> bool {
        use A_Expr_Kind as Kind;
        if !self.same(one.lexpr(), other.lexpr(), 0) {
            return false;
        }
        let kinds = (one.kind, other.kind);
        let excluding = matches!(
            kinds,
            (Kind::AEXPR_DISTINCT, Kind::AEXPR_NOT_DISTINCT)
                | (Kind::AEXPR_NOT_DISTINCT, Kind::AEXPR_DISTINCT)
                | (Kind::AEXPR_BETWEEN, Kind::AEXPR_NOT_BETWEEN)
                | (Kind::AEXPR_NOT_BETWEEN, Kind::AEXPR_BETWEEN)
        );
        if excluding {
            return self.same(one.rexpr(), other.rexpr(), 0);
        }
        // `a > 0 OR a < 5` overlap, too, whatever the bounds: one of a pair that points both ways.
        let names = (
            last(one).unwrap_or_default(),
            last(other).unwrap_or_default(),
        );
        let points = matches!(
            names,
            ("=", "<>" | "!=")
                | ("<>" | "!=", "=")
                | ("<" | "<=", ">" | ">=")
                | (">" | ">=", "<" | "<=")
                | ("~~", "!~~")
                | ("!~~", "~~")
                | ("~~*", "!~~*")
                | ("!~~*", "~~*")
                | ("~", "!~")
                | ("!~", "~")
        );
        points && kinds.0 == kinds.1 && self.covers(one, other)
    }

    /// Whether the two bounds leave no gap: the same, or overlapping.
    fn covers(&self, one: &nodes::A_Expr, other: &nodes::A_Expr) -> bool {
        if self.same(one.rexpr(), other.rexpr(), 0) {
            // `a < 1 OR a > 1` leaves out 1.
            return !matches!(
                (last(one), last(other)),
                (Some("<"), Some(">")) | (Some(">"), Some("<"))
            );
        }
        let (Some(first), Some(second)) = (number(one.rexpr(), 0), number(other.rexpr(), 0)) else {
            return false;
        };
        match last(one) {
            Some("<" | "<=") => first > second,
            Some(">" | ">=") => first < second,
            _ => false,
        }
    }

    /// The same column of the same relation.
    fn same_column(&self, one: &nodes::ColumnRef, other: &nodes::ColumnRef) -> bool {
        let parts = |column: &nodes::ColumnRef| {
            let mut names = column.fields().iter().filter_map(Node::as_str).rev();
            let name = names.next().map(str::to_owned);
            let of = names.next().map(str::to_owned);
            (name, of.filter(|of| self.others.contains(of)))
        };
        let (one, other) = (parts(one), parts(other));
        one.0.is_some() && one == other
    }

    /// Two expressions that are the same by their text: the same column, or a function of the same.
    pub(super) fn same(&self, one: Node<'_>, other: Node<'_>, depth: u16) -> bool {
        if depth > 50 {
            return false;
        }
        let lists = |one: &List, other: &List| {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| self.same(one, other, depth.saturating_add(1)))
        };
        match (one, other) {
            (Node::ColumnRef(one), Node::ColumnRef(other)) => self.same_column(one, other),
            (Node::NodeList(one), Node::NodeList(other)) => lists(one, other),
            (Node::FuncCall(one), Node::FuncCall(other)) => {
                lists(one.funcname(), other.funcname()) && lists(one.args(), other.args())
            }
            (Node::A_Expr(one), Node::A_Expr(other)) => {
                one.kind == other.kind
                    && lists(one.name(), other.name())
                    && self.same(one.lexpr(), other.lexpr(), depth.saturating_add(1))
                    && self.same(one.rexpr(), other.rexpr(), depth.saturating_add(1))
            }
            (Node::CoalesceExpr(one), Node::CoalesceExpr(other)) => lists(one.args(), other.args()),
            (Node::MinMaxExpr(one), Node::MinMaxExpr(other)) => {
                one.op == other.op && lists(one.args(), other.args())
            }
            (Node::RowExpr(one), Node::RowExpr(other)) => lists(one.args(), other.args()),
            (Node::A_ArrayExpr(one), Node::A_ArrayExpr(other)) => {
                lists(one.elements(), other.elements())
            }
            (Node::BoolExpr(one), Node::BoolExpr(other)) => {
                one.boolop == other.boolop && lists(one.args(), other.args())
            }
            (Node::NullTest(one), Node::NullTest(other)) => {
                one.nulltesttype == other.nulltesttype
                    && self.same(one.arg(), other.arg(), depth.saturating_add(1))
            }
            (Node::CollateClause(one), other) => {
                self.same(one.arg(), other, depth.saturating_add(1))
            }
            (one, Node::CollateClause(other)) => {
                self.same(one, other.arg(), depth.saturating_add(1))
            }
            (Node::String(one), Node::String(other)) => one.sval() == other.sval(),
            (Node::TypeCast(one), other) => self.same(one.arg(), other, depth.saturating_add(1)),
            (one, Node::TypeCast(other)) => self.same(one, other.arg(), depth.saturating_add(1)),
            (Node::A_Const(_), Node::A_Const(_)) => constants(one, other) == Some(Ordering::Equal),
            (Node::None, Node::None) => true,
            _ => false,
        }
    }
}
