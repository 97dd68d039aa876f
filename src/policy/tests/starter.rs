//! Every rule of the starter policy stops what it speaks of, and nothing beside it.

use crate::policy::tests::STARTER;
use crate::policy::tests::shop::Shop;

#[test]
fn nothing_is_dropped_truncated_or_altered_away() {
    Shop::new(STARTER).check(
        "
        drop table orders => deny no-drop
        drop table if exists orders cascade => deny no-drop
        drop schema public cascade => deny no-drop
        drop index concurrently orders_pkey => deny no-drop
        truncate orders => deny no-truncate
        truncate only orders, order_items restart identity => deny no-truncate
        alter table orders drop column note => deny no-alter-drop
        alter table orders add column a int, drop constraint orders_pkey => deny no-alter-drop
        ",
    );
}

#[test]
fn a_write_names_its_rows() {
    Shop::new(STARTER).check(
        "
        update products set price = '0' => deny no-unrestricted-write
        update products set price = '0' where true => deny no-unrestricted-write
        update products set price = '0' where 1 = 1 => deny no-unrestricted-write
        update products set price = '0' where id = id => deny no-unrestricted-write
        delete from products where coalesce(id, '1') = coalesce(id, '1') => deny no-unrestricted-write
        delete from products where greatest(id) >= greatest(id) => deny no-unrestricted-write
        delete from products where row(id) = row(id) => deny no-unrestricted-write
        delete from products where (id is null) = (id is null) => deny no-unrestricted-write
        delete from products where sku collate ucs_basic = sku => deny no-unrestricted-write
        delete from products => deny no-unrestricted-write
        delete from products where 'a' = 'a' or id = '7' => deny no-unrestricted-write
        with gone as (delete from products returning id) select id from gone => deny no-unrestricted-write
        explain analyze delete from products => deny no-unrestricted-write
        update products set price = '0' where id = '7' => allow engineers
        delete from products where id = '7' => allow engineers
        ",
    );
}

#[test]
fn programs_and_files_of_the_server_are_out_of_reach() {
    Shop::new(STARTER).check(
        "
        copy orders to program 'cat' => deny no-server-access
        copy orders from program 'cat' => deny no-server-access
        copy (select 1) to program 'cat' => deny no-server-access
        copy orders to '/tmp/orders' => deny no-server-access
        copy orders from '/tmp/orders' => deny no-server-access
        select pg_read_file('/etc/passwd') => deny no-server-access
        load 'auto_explain' => deny no-server-access
        copy orders to stdout => allow engineers
        copy products from stdin => allow engineers
        ",
    );
}

#[test]
fn roles_and_rights_stay_as_they_are() {
    Shop::new(STARTER).check(
        "
        create role mallory superuser => deny no-role-changes
        alter role mallory login => deny no-role-changes
        drop role mallory => deny no-role-changes
        set role postgres => deny no-role-hazards
        set local role postgres => deny no-role-hazards
        reset role => deny no-role-hazards
        set session authorization postgres => deny no-role-hazards
        alter table orders owner to mallory => deny no-role-hazards
        grant select on orders to public => deny no-grant
        revoke select on orders from public => deny no-grant
        alter default privileges grant select on tables to public => deny no-grant
        grant dbgate_owner to mallory => deny no-role-changes
        ",
    );
}

#[test]
fn protected_tables_are_written_under_four_eyes() {
    Shop::new(STARTER).check(
        "
        update customers set name = 'x' where id = '7' => review review-protected
        delete from customers where id = '7' => review review-protected
        insert into customers (id, name) values ('1', 'x') => review review-protected
        update vault set id = '1' where id = '7' => review review-protected
        update payments set amount = '1' where id = '7' => review review-payments
        update payments_2024 set amount = '1' where id = '7' => review review-payments
        with c as (update customers set name = 'x' where id = '7' returning id) select id from c => review review-protected
        update orders set note = 'x' where id = '7' => allow engineers
        select name from customers => allow engineers
        ",
    );
}

#[test]
fn nobody_locks_a_whole_table() {
    Shop::new(STARTER).check(
        "
        lock table orders => deny no-lock
        lock orders in share mode nowait => deny no-lock
        select id from orders where id = '7' for update => allow engineers
        ",
    );
}

#[test]
fn what_is_denied_is_not_prepared_either() {
    Shop::new(STARTER).check(
        "
        prepare p as delete from products => deny no-unrestricted-write
        prepare p as update products set price = '0' where 1 = 1 => deny no-unrestricted-write
        prepare p as select pg_read_file('/etc/passwd') => deny no-server-access
        prepare p as delete from products where id = '7' => allow engineers
        prepare p as update payments set amount = '1' where id = '7' => allow engineers
        ",
    );
}

#[test]
fn the_rules_of_prod_are_those_of_prod() {
    let everywhere = format!(
        "{STARTER}\n[[allow]]\nname = \"lab\"\ngroups = [\"engineers\"]\ndatabases = [\"lab\"]\nroles = [\"lab\"]\n\
         do = [\"read\", \"write\", \"define\", \"admin\"]\n"
    );
    Shop::at("lab", &everywhere).check(
        "
        drop table orders => allow lab
        truncate orders => allow lab
        alter table orders drop column note => allow lab
        delete from products => allow lab
        grant select on orders to public => allow lab
        ",
    );
}
