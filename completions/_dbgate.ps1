
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'dbgate' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'dbgate'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'dbgate' {
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Sign in with your company''s single sign-on, in the browser')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Sign out: end your sessions, and forget your tokens here and at the issuer')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show who you are, until when, and your open sessions')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Run all of dbgate on this machine: PostgreSQL, a sign-in issuer, a sample shop, policy and broker')
            [CompletionResult]::new('broker', 'broker', [CompletionResultType]::ParameterValue, 'Serve as the broker')
            [CompletionResult]::new('internal-guardian', 'internal-guardian', [CompletionResultType]::ParameterValue, 'Become a program that ends with its parent')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Open the guarded SQL shell')
            [CompletionResult]::new('exec', 'exec', [CompletionResultType]::ParameterValue, 'Run SQL and exit: for scripts and CI')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Write completions or manual pages')
            break
        }
        'dbgate;login' {
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The local port the browser comes back to; any free one by default')
            [CompletionResult]::new('--issuer', '--issuer', [CompletionResultType]::ParameterName, 'The issuer to sign in at, where the broker trusts several')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Print the address to open instead of opening a browser (BROWSER names another one)')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;logout' {
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--keep-sessions', '--keep-sessions', [CompletionResultType]::ParameterName, 'Leave your open sessions open')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;status' {
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;demo' {
            [CompletionResult]::new('--sql', '--sql', [CompletionResultType]::ParameterName, 'Load this schema instead of the sample shop')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Use this policy instead of the shop''s')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Keep everything in this new folder')
            [CompletionResult]::new('--pg-bin', '--pg-bin', [CompletionResultType]::ParameterName, 'The folder of PostgreSQL''s server programs')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The broker''s address; port 0 takes a free one')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object when ready, and stay in the foreground')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;broker' {
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Serve until SIGTERM or SIGINT')
            break
        }
        'dbgate;broker;run' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'The form of the log on stderr')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'What is logged, such as `info` or `dbgate::gateway=debug`')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;internal-guardian' {
            [CompletionResult]::new('--parent', '--parent', [CompletionResultType]::ParameterName, 'The parent''s process id')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Whom to become: UID:GID')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;connect' {
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for an approval, such as 10m')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Why: shown to approvers and kept in the audit log')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why: shown to approvers and kept in the audit log')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'How long, such as 30m; the policy may allow less')
            [CompletionResult]::new('--access', '--access', [CompletionResultType]::ParameterName, 'To read, or also to write')
            [CompletionResult]::new('--request', '--request', [CompletionResultType]::ParameterName, 'Make use of this approved request')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-history', '--no-history', [CompletionResultType]::ParameterName, 'Keep no history of what is typed')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;exec' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Run this SQL; may be given more than once')
            [CompletionResult]::new('--command', '--command', [CompletionResultType]::ParameterName, 'Run this SQL; may be given more than once')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Run the SQL in this file; `-` is stdin; may be given more than once')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Run the SQL in this file; `-` is stdin; may be given more than once')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for approvals, such as 10m; without it, a statement that needs one ends with code 5')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Why: shown to approvers and kept in the audit log')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why: shown to approvers and kept in the audit log')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'How long, such as 30m; the policy may allow less')
            [CompletionResult]::new('--access', '--access', [CompletionResultType]::ParameterName, 'To read, or also to write')
            [CompletionResult]::new('--request', '--request', [CompletionResultType]::ParameterName, 'Make use of this approved request')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('-1', '-1', [CompletionResultType]::ParameterName, 'Run everything in one transaction')
            [CompletionResult]::new('--single-transaction', '--single-transaction', [CompletionResultType]::ParameterName, 'Run everything in one transaction')
            [CompletionResult]::new('--csv-safe', '--csv-safe', [CompletionResultType]::ParameterName, 'With --output csv: put '' before cells that a spreadsheet would take for formulas')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'dbgate;generate' {
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Where to')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s address, such as https://db.example.com')
            [CompletionResult]::new('--ca-file', '--ca-file', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file instead of the system''s')
            [CompletionResult]::new('--id-token-file', '--id-token-file', [CompletionResultType]::ParameterName, 'Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)')
            [CompletionResult]::new('--token-store', '--token-store', [CompletionResultType]::ParameterName, 'Where tokens are kept')
            [CompletionResult]::new('--config-dir', '--config-dir', [CompletionResultType]::ParameterName, 'Where configuration, history and remembered tokens are')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The form of what goes to stdout')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use color; NO_COLOR and TERM=dumb are honored')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask; fail where a question would be asked')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Tell errors and warnings only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Tell more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
