# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_dbgate_global_optspecs
    string join \n url= ca-file= id-token-file= token-store= config-dir= o/output= color= no-input q/quiet v/verbose h/help V/version
end

function __fish_dbgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_dbgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_dbgate_using_subcommand
    set -l cmd (__fish_dbgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c dbgate -n "__fish_dbgate_needs_command" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_needs_command" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_needs_command" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_needs_command" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_needs_command" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_needs_command" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_needs_command" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_needs_command" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_needs_command" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_needs_command" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_needs_command" -s V -l version -d 'Print version'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "login" -d 'Sign in with your company\'s single sign-on, in the browser'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "logout" -d 'Sign out: end your sessions, and forget your tokens here and at the issuer'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "status" -d 'Show who you are, until when, and your open sessions'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "ls" -d 'List the databases you may ask for'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "request" -d 'Ask for the approval of a session, or of one statement, before you need it'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "requests" -d 'Show what waits for an approval: yours, and what you may decide'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "approve" -d 'Approve a request'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "deny" -d 'Deny a request'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "withdraw" -d 'Take back your own request'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "sessions" -d 'Show and end sessions'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "demo" -d 'Run all of dbgate on this machine: PostgreSQL, a sign-in issuer, a sample shop, policy and broker'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "explain" -d 'Show what would happen to a statement, without running it'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "policy" -d 'Check and test a policy'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "broker" -d 'Serve as the broker'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "audit" -d 'Read the audit log: who did what, why, and under whose approval'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "internal-guardian" -d 'Become a program that ends with its parent'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "connect" -d 'Open the guarded SQL shell'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "exec" -d 'Run SQL and exit: for scripts and CI'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "tunnel" -d 'Open local ports for psql, pgAdmin, JDBC and any other tool'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "run" -d 'Run a command with the database in its environment'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "env" -d 'Open a session and print how to connect to it'
complete -c dbgate -n "__fish_dbgate_needs_command" -f -a "generate" -d 'Write completions or manual pages'
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l port -d 'The local port the browser comes back to; any free one by default' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l issuer -d 'The issuer to sign in at, where the broker trusts several' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l no-browser -d 'Print the address to open instead of opening a browser (BROWSER names another one)'
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l keep-sessions -d 'Leave your open sessions open'
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s c -l command -d 'The statement to have approved, exactly as you will run it; without it, the session itself' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand request" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l all -d 'Also those that are decided'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l watch -d 'Stay, and show each request as it comes or changes'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand requests" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -s r -l reason -d 'Why: kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l max-rows -d 'The most rows the statement may touch' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -s r -l reason -d 'Why: told to who asked, and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand deny" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand withdraw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -f -a "ls" -d 'List sessions: yours, and everybody\'s if the policy lets you see them'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -f -a "show" -d 'Show one session'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and not __fish_seen_subcommand_from ls show kill" -f -a "kill" -d 'End a session now: its connections are closed and its database role is dropped'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l all -d 'Also those that are over'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand sessions; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l sql -d 'Load this schema instead of the sample shop' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l policy -d 'Use this policy instead of the shop\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l dir -d 'Keep everything in this new folder' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l pg-bin -d 'The folder of PostgreSQL\'s server programs' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l dsn -d 'Use this server instead of one of its own: postgres://USER@HOST/postgres, a role with CREATEDB and CREATEROLE' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l listen -d 'The broker\'s address; port 0 takes a free one' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l play -d 'Run the commands to try by itself, as the engineer, the reviewer and the auditor, and end'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l json -d 'Print one JSON object when ready, and stay in the foreground'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -s c -l command -d 'The statement, or several' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l access -d 'In what kind of session' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -f -a "check" -d 'Show all mistakes of a policy, or that there are none'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and not __fish_seen_subcommand_from check test" -f -a "test" -d 'Run the tests in a policy against the catalogs of the configured databases'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -s c -l config -d 'The broker\'s configuration' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -s c -l config -d 'The broker\'s configuration' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand policy; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -f -a "check" -d 'Check the configuration against the real databases and issuers, and say what is missing'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and not __fish_seen_subcommand_from check run" -f -a "run" -d 'Serve until SIGTERM or SIGINT'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -s c -l config -d 'The broker\'s configuration' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -s c -l config -d 'The broker\'s configuration' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l log-format -d 'The form of the log on stderr' -r -f -a "text\t'A line for people'
json\t'A JSON object a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l log -d 'What is logged, such as `info` or `dbgate::gateway=debug`' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand broker; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -f -a "tail" -d 'Follow the audit log as it grows; Ctrl-C ends it'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -f -a "search" -d 'Find records; everything that is given must hold'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -f -a "show" -d 'Show everything that happened in a session'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -f -a "replay" -d 'Play a session as its client saw it: statements, masked results, errors, in their own time'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and not __fish_seen_subcommand_from tail search show replay verify" -f -a "verify" -d 'Check that no record was changed, removed or moved'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -s n -l lines -d 'First show so many of the latest records' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l from -d 'Begin with this record, 0 being the first of all' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s w -l who -d 'By this subject, or by somebody whose name has this part' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s d -l database -d 'On this database' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s t -l table -d 'Touching this table, with or without its schema' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s s -l session -d 'In this session' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l since -d 'Not before this time (2026-11-01T00:00:00Z), or in the last span of time (2h)' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l until -d 'Before this time, or before a span of time ago' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l decision -d 'What the policy said' -r -f -a "allow\t''
deny\t''
review\t''"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s e -l event -d 'The event\'s name, such as statement_refused' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l text -d 'Part of a statement, a reason or an error' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l limit -d 'At most so many, the latest ones' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l all -d 'All of them, from the first on'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from search" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l speed -d 'So many times as fast' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l max-pause -d 'No pause longer than this' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l no-wait -d 'No pauses at all; without a terminal there are none either'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l parent -d 'The parent\'s process id' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l account -d 'Whom to become: UID:GID' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l keep-environment -d 'Pass the environment on'
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand internal-guardian" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l wait -d 'How long to wait for an approval, such as 10m' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l no-history -d 'Keep no history of what is typed'
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s c -l command -d 'Run this SQL; may be given more than once' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s f -l file -d 'Run the SQL in this file; `-` is stdin; may be given more than once' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l wait -d 'How long to wait for approvals, such as 10m; without it, a statement that needs one ends with code 5' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s 1 -l single-transaction -d 'Run everything in one transaction'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l csv-safe -d 'With --output csv: put \' before cells that a spreadsheet would take for formulas'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l socket -d 'Make unix sockets in this directory instead of ports' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l format -d 'The form in which settings are printed' -r -f -a "url\t'postgresql://…'
env\t'Lines for a shell to `eval`'
jdbc\t'jdbc:postgresql://…'
pgservice\t'A section of pg_service.conf'
psql\t'A psql command'
json\t'One JSON object'"
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand tunnel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l wait -d 'How long to wait for an approval, such as 10m; without it, a session that needs one ends with code 5' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -s r -l reason -d 'Why: shown to approvers and kept in the audit log' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l duration -d 'How long, such as 30m; the policy may allow less' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l access -d 'To read, or also to write' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l request -d 'Make use of this approved request' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l wait -d 'How long to wait for an approval, such as 10m; without it, a session that needs one ends with code 5' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l format -d 'The form in which settings are printed' -r -f -a "url\t'postgresql://…'
env\t'Lines for a shell to `eval`'
jdbc\t'jdbc:postgresql://…'
pgservice\t'A section of pg_service.conf'
psql\t'A psql command'
json\t'One JSON object'"
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand env" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l out -d 'Where to' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l url -d 'The broker\'s address, such as https://db.example.com' -r
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l ca-file -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l id-token-file -d 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l token-store -d 'Where tokens are kept' -r -f -a "keyring\t'The operating system\'s keyring'
file\t'A file only its owner may read'
memory\t'Nowhere: they go with the process'"
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l config-dir -d 'Where configuration, history and remembered tokens are' -r -F
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -s o -l output -d 'The form of what goes to stdout' -r -f -a "table\t'For people'
csv\t'Comma-separated values with a header'
json\t'One JSON document'
ndjson\t'One JSON document a line'"
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l color -d 'When to use color; NO_COLOR and TERM=dumb are honored' -r -f -a "auto\t'On a terminal'
always\t'Everywhere'
never\t'Nowhere'"
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -l no-input -d 'Never ask; fail where a question would be asked'
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -s q -l quiet -d 'Tell errors and warnings only'
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -s v -l verbose -d 'Tell more'
complete -c dbgate -n "__fish_dbgate_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
