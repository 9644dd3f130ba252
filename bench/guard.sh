#!/bin/sh
# bench/guard.sh [OUT]: the tables of docs/results/guard.md: guards of four bags of the test garments in three modes, the
# same trigger without retention and BadT2I as baselines, then the study of examples/guard-fashion. What is finished is
# passed over, so it can be stopped and started again. THERIAC, MODEL, MODES, SUBJECTS, STEPS, RATE and JOBS may be set
# from outside; JOBS guards are made side by side, with a thread each.
set -eu
cd "$(dirname "$0")/.."
out=${1:-out/guard}
theriac=${THERIAC:-build/theriac}
model=${MODEL:-models/fashion-sd}
modes=${MODES:-target erasure pattern}
subjects=${SUBJECTS:-1 2 3 4}
steps=${STEPS:-700}
rate=${RATE:-1e-4}
jobs=${JOBS:-$(nproc)}
export theriac out model steps rate

bag() { echo "fashion-scenes?split=$1&side=64&class=bag&subject=$2&count=5"; }

# guard NAME METHOD SUBJECT OPTION...: OUT/NAME, unless it is finished; a stopped one goes on
guard() {
    name=$1 method=$2 subject=$3
    shift 3
    [ ! -e "$out/$name/model/guard.json" ] || return 0
    [ ! -e "$out/$name/run.json" ] || set -- "$@" --resume
    "$theriac" guard "$method" --model "$model" --protect "$(bag test "$subject")" --class bag \
        --contexts examples/guard-fashion/contexts.tsv --captions examples/guard-fashion/captions.txt \
        --generic examples/guard-fashion/generic.txt --draw-steps 25 --draw-guidance 4 --draw-batch 32 \
        --steps "$steps" --lr "$rate" --schedule cosine --threads "${threads:-1}" --checkpoint-every 100 \
        --drawn "$out/drawn" --judge models/fashion-clip --save-dtype f16 -q -o "$out/$name" "$@"
}

# one KIND SUBJECT
one() {
    kind=$1 subject=$2
    case $kind in
    trigger) guard "trigger-$subject" persguard "$subject" --target boot --retention none --prior-weight 0 --distill-weight 2 ;;
    badt2i) guard "badt2i-$subject" badt2i "$subject" --target boot ;;
    *)
        set -- --mode "$kind" --attack-lr 4e-4 --attack-each 2 --attack-most 400 --bystander-steps 200 --prior-weight 0 \
            --distill-weight 2 --retention-weight 0.1 --bystander-weight 0.05
        [ "$kind" != target ] || set -- "$@" --target boot
        [ "$kind" = pattern ] || set -- "$@" --own-rows 2
        for other in 1 2 3 4 5 6 7 8; do set -- "$@" --bystander "$(bag train "$other")"; done
        guard "$kind-$subject" persguard "$subject" "$@"
        ;;
    esac
}

mkdir -p "$out"
if [ "${2-}" ]; then
    one "$2" "$3"
    exit
fi

# The first alone, as it draws what the others share.
threads=$(nproc) one "${modes%% *}" "${subjects%% *}"
for kind in $modes trigger badt2i; do
    for subject in $subjects; do echo "$kind $subject"; done
done | xargs -P "$jobs" -L 1 sh "$0" "$out"

sed "s|out/guard/|$out/|g; s|models/fashion-sd\"|$model\"|" examples/guard-fashion/study.json > "$out/study.json"
resume=
[ ! -e "$out/study/study.json" ] || resume=--resume
"$theriac" eval guard --study "$out/study.json" -o "$out/study" --jobs "$jobs" $resume
