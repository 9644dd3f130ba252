# bench/bags.sh, for the scripts beside it that personalise on bags of the test garments: `theriac`, `judge` and `out` are
# theirs.
# shellcheck shell=sh

bag() { echo "fashion-scenes?split=test&side=64&class=bag&subject=$1"; }

draw='--steps 25 --guidance 3 --batch 32' # of theriac generate

# contexts WHAT: a prompt for it in each of eight scenes
contexts() {
    for place in 'on a pink background' 'on a grey background' 'in front of a brick wall' 'on a wooden floor' \
        'on green grass' 'on a striped yellow background' 'against a purple wall' 'on a tiled floor'; do
        echo "a photo of $1 $place"
    done
}

# once FOLDER COMMAND...: makes the folder by a command that takes it as -o, unless it is there
once() {
    folder=$1
    shift
    [ ! -e "$folder" ] || return 0
    rm -rf "$folder.part"
    "$@" -o "$folder.part" -q > /dev/null
    mv "$folder.part" "$folder"
}

# fidelity FOLDER SUBJECT: the mean cosine of the judge's features between what is in the folder and 40 other pictures of
# that bag, "value low high"
fidelity() {
    "$theriac" eval images --images "$1" --real "$(bag "$2")&offset=100&count=40" --features "$judge" --json -q |
        sed -n 's/.*"fidelity":\[\([-0-9.e]*\),\([-0-9.e]*\),\([-0-9.e]*\)\].*/\1 \2 \3/p'
}

# best FOLDER SUBJECTS: the highest fidelity to one of these
best() {
    # shellcheck disable=SC2086
    for other in $2; do fidelity "$1" "$other"; done | sort -g | tail -1 | cut -d ' ' -f 1
}
