#!/bin/sh
# Installs dbgate from this checkout: the program, its man pages and completions.
set -eu

usage() {
    cat <<'END'
usage: ./install.sh [--prefix DIR] [--dry-run] [--yes] [--demo | --uninstall]

  --prefix DIR   install below DIR (default: ~/.local)
  --dry-run      say what would be done, and do nothing
  --demo         install what the demo needs as well, then run `dbgate demo`
  --yes          do not ask before packages are installed
  --uninstall    remove what was installed below the prefix
END
}

no_folder() {
    echo "error: --prefix needs a folder, such as --prefix /usr/local" >&2
    usage >&2
}

prefix=${DBGATE_PREFIX:-${HOME:+$HOME/.local}}
dry=
demo=
yes=
uninstall=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix)
            [ $# -gt 1 ] || { no_folder; exit 2; }
            prefix=$2
            [ -n "$prefix" ] || { no_folder; exit 2; }
            shift
            ;;
        --prefix=*)
            prefix=${1#--prefix=}
            [ -n "$prefix" ] || { no_folder; exit 2; }
            ;;
        --dry-run) dry=1 ;;
        --demo) demo=1 ;;
        --yes | -y) yes=1 ;;
        --uninstall) uninstall=1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            echo "error: there is no option \`$1\`" >&2
            usage >&2
            exit 2
            ;;
    esac
    shift
done
[ -z "$demo" ] || [ -z "$uninstall" ] || { echo "error: --demo and --uninstall exclude each other" >&2; exit 2; }

say() { printf '%s\n' "$*" >&2; }

[ -n "$prefix" ] || {
    say "error: there is no HOME to install below"
    say "hint: give a folder with --prefix"
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
case $prefix in
    /*) ;;
    *) prefix=$(pwd)/$prefix ;;
esac
prefix=${prefix%/}

# quote WORD: as a shell has to be given it.
quote() {
    case $1 in
        '' | *[!A-Za-z0-9_./:=@%+,-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
        *) printf %s "$1" ;;
    esac
}

# run COMMAND…: shows it, and runs it unless this is a dry run.
run() {
    line=
    for word in "$@"; do line="$line $(quote "$word")"; done
    say " $line"
    [ -n "$dry" ] || "$@"
}

# Folders below the prefix that hold what is installed, inner ones first.
folders="share/man/man1 share/man share/bash-completion/completions share/bash-completion share/zsh/site-functions
    share/zsh share/fish/vendor_completions.d share/fish share/powershell/completions share/powershell share bin"

if [ -n "$uninstall" ]; then
    removed=0
    say "removing dbgate from $prefix:"
    # Pages of commands that a newer checkout no longer has are removed, too.
    for file in "$prefix/bin/dbgate" "$prefix"/share/man/man1/dbgate.1 "$prefix"/share/man/man1/dbgate-*.1 \
        "$prefix/share/bash-completion/completions/dbgate" "$prefix/share/zsh/site-functions/_dbgate" \
        "$prefix/share/fish/vendor_completions.d/dbgate.fish" "$prefix/share/powershell/completions/_dbgate.ps1"; do
        if [ -e "$file" ] || [ -L "$file" ]; then
            run rm -f "$file"
            removed=$((removed + 1))
        fi
    done
    if [ "$removed" = 0 ]; then
        say "  nothing of dbgate is there"
        exit 0
    fi
    # Folders that others use are not empty, and stay.
    if [ -z "$dry" ]; then
        for folder in $folders; do rmdir "$prefix/$folder" 2>/dev/null || true; done
        rmdir "$prefix" 2>/dev/null || true
    fi
    if [ -n "$dry" ]; then
        say "nothing was done: this was a dry run"
    else
        say "removed $removed files, and the folders they left empty"
    fi
    say "your configuration and tokens were left alone (\`dbgate logout\` forgets tokens)"
    exit 0
fi

no_room() {
    say "error: nothing can be written below $prefix"
    say "hint: give another folder with --prefix, or run this as a user who may write there"
    exit 7
}

# Said before anything is built. The nearest folder that is there has to take the others.
above=$prefix
while [ -n "$above" ] && [ ! -e "$above" ]; do above=${above%/*}; done
if [ ! -d "${above:-/}" ] || [ ! -w "${above:-/}" ]; then no_room; fi

have() { command -v "$1" >/dev/null 2>&1; }

have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for file in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/*/libclang-*.so* /usr/lib64/libclang.so* \
        /usr/lib64/llvm*/lib/libclang.so* /usr/lib/libclang.so* /opt/homebrew/opt/llvm/lib/libclang.dylib \
        /usr/local/opt/llvm/lib/libclang.dylib /Library/Developer/CommandLineTools/usr/lib/libclang.dylib; do
        [ -e "$file" ] && return 0
    done
    return 1
}

have_postgres() {
    have pg_config && [ -x "$(pg_config --bindir)/postgres" ] && return 0
    for file in /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
        /opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres \
        /Applications/Postgres.app/Contents/Versions/*/bin/postgres; do
        [ -x "$file" ] && return 0
    done
    have postgres
}

# What is missing, as generic words: compiler libclang postgresql.
missing() {
    have cc || echo compiler
    have_libclang || echo libclang
    [ -z "$demo" ] || have_postgres || echo postgresql
}

# package MANAGER WORD: the package's name there.
package() {
    case $1:$2 in
        apt:compiler) echo gcc libc6-dev make ;;
        apt:libclang) echo libclang-dev ;;
        apt:postgresql) echo postgresql ;;
        dnf:compiler) echo gcc make ;;
        dnf:libclang) echo clang-libs clang-devel ;;
        dnf:postgresql) echo postgresql-server ;;
        pacman:compiler) echo gcc make ;;
        pacman:libclang) echo clang ;;
        pacman:postgresql) echo postgresql ;;
        zypper:compiler) echo gcc make ;;
        zypper:libclang) echo clang-devel ;;
        zypper:postgresql) echo postgresql-server ;;
        brew:compiler) ;;
        brew:libclang) echo llvm ;;
        brew:postgresql) echo postgresql@17 ;;
    esac
}

install_packages() {
    manager=
    for name in apt-get dnf pacman zypper brew; do
        if have "$name"; then
            manager=${name%-get}
            break
        fi
    done
    names=
    for word in $1; do names="$names $(package "${manager:-none}" "$word")"; done
    if [ -z "$manager" ]; then
        say "error: missing: $1; no package manager that this script knows was found"
        say "hint: install a C compiler, libclang and PostgreSQL's server programs, then run this again"
        exit 7
    fi
    sudo=
    if [ "$manager" != brew ] && [ "$(id -u)" != 0 ]; then
        have sudo || { say "error: packages are missing ($names), and neither root nor sudo is here"; exit 7; }
        sudo="sudo "
    fi
    case $manager in
        apt) command="${sudo}apt-get update && ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$names" ;;
        dnf) command="${sudo}dnf install -y$names" ;;
        pacman) command="${sudo}pacman -S --needed --noconfirm$names" ;;
        zypper) command="${sudo}zypper --non-interactive install$names" ;;
        brew) command="brew install$names" ;;
    esac
    say "these packages are missing and would be installed with:"
    say "  $command"
    if [ -z "$yes" ] && [ -z "$dry" ]; then
        if [ -t 0 ] && [ -t 2 ]; then
            printf 'install them now? [y/N] ' >&2
            read -r answer
            case $answer in y | Y | yes) ;; *) say "nothing was installed"; exit 7 ;; esac
        else
            say "error: this is no terminal to ask at"
            say "hint: run the command above yourself, or give --yes"
            exit 7
        fi
    fi
    # Only PostgreSQL's programs are wanted, no cluster of its own on port 5432.
    config=/etc/postgresql-common/createcluster.conf
    if [ "$manager" = apt ] && [ ! -e $config ]; then
        case $names in
            *postgresql*)
                say "  echo 'create_main_cluster = false' > $config"
                [ -n "$dry" ] || ${sudo:+sudo} sh -c "mkdir -p ${config%/*} && echo 'create_main_cluster = false' > $config"
                ;;
        esac
    fi
    [ -n "$dry" ] || sh -c "$command" >&2
}

if ! have cargo && [ -x "${HOME:-}/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi
if ! have cargo; then
    say "error: cargo is not installed"
    say "hint: install Rust 1.95 or newer (with rustup, or your distribution's package of it), then run this again"
    exit 7
fi
wanted=$(missing | tr '\n' ' ')
[ -z "$wanted" ] || install_packages "$wanted"

say "building dbgate (a few minutes the first time):"
# A target folder of the user's own, set by CARGO_TARGET_DIR or in cargo's configuration, is not where we look.
run cargo build --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$here/target"

# place SOURCE TARGET MODE: copied beside the target and renamed, so that a running dbgate is not disturbed.
placed=0
place() {
    placed=$((placed + 1))
    [ -z "$dry" ] || return 0
    mkdir -p "$(dirname "$2")" 2>/dev/null || no_room
    cp "$1" "$2.new"
    chmod "$3" "$2.new"
    mv -f "$2.new" "$2"
}

# show SOURCE TARGET MODE: places a file and says so.
show() {
    say "  $2"
    place "$@"
}

say "installing:"
show "$here/target/release/dbgate" "$prefix/bin/dbgate" 755
pages=0
for page in "$here"/man/*.1; do
    place "$page" "$prefix/share/man/man1/$(basename "$page")" 644
    pages=$((pages + 1))
done
say "  $prefix/share/man/man1/dbgate*.1 ($pages pages)"
show "$here/completions/dbgate.bash" "$prefix/share/bash-completion/completions/dbgate" 644
show "$here/completions/_dbgate" "$prefix/share/zsh/site-functions/_dbgate" 644
show "$here/completions/dbgate.fish" "$prefix/share/fish/vendor_completions.d/dbgate.fish" 644
show "$here/completions/_dbgate.ps1" "$prefix/share/powershell/completions/_dbgate.ps1" 644
if [ -n "$dry" ]; then
    say "nothing was done: this was a dry run"
else
    say "installed $placed files: the program, its man pages and completions"
fi

case :$PATH: in
    *:"$prefix/bin":*) ;;
    *)
        say ""
        say "add this to your shell's start-up file, then open a new terminal:"
        say "  export PATH=\"$prefix/bin:\$PATH\""
        ;;
esac
case :${MANPATH:-}: in
    *:"$prefix/share/man":*) ;;
    *) have man && ! man -w dbgate >/dev/null 2>&1 && say "for man pages: export MANPATH=\"$prefix/share/man:\"" ;;
esac || true
# Where bash-completion and fish look by themselves.
case :${XDG_DATA_HOME:-${HOME:-}/.local/share}:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}: in
    *:"$prefix/share":*)
        if [ ! -e /usr/share/bash-completion/bash_completion ] && ! have brew; then
            say "for bash completions: install bash-completion, or . $(quote "$prefix/share/bash-completion/completions/dbgate")"
        fi
        ;;
    *)
        say "for bash completions: . $(quote "$prefix/share/bash-completion/completions/dbgate")"
        say "for fish completions: set -a fish_complete_path $(quote "$prefix/share/fish/vendor_completions.d")"
        ;;
esac
say "for zsh completions: fpath=($(quote "$prefix/share/zsh/site-functions") \$fpath), before compinit"
say "for PowerShell completions: . $(quote "$prefix/share/powershell/completions/_dbgate.ps1")"

if [ -n "$demo" ]; then
    say ""
    say "  $(quote "$prefix/bin/dbgate") demo"
    # In this process's place: a signal to it is a signal to the demo.
    [ -n "$dry" ] || exec "$prefix/bin/dbgate" demo
fi
