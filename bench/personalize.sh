#!/bin/sh
# bench/personalize.sh [OUT]: the table of docs/results/t2i.md on DreamBooth: four bags of the test garments, five pictures
# of each, with and without prior preservation, two seeds. Fidelity is the mean cosine of a judge's features, between what
# the personalised model draws in contexts and 40 other pictures of that bag, and of the other three. Cells that are
# finished are passed over. THERIAC, MODEL, JUDGE, SEEDS, SUBJECTS, RATE and STEPS may be set from outside.
set -eu
cd "$(dirname "$0")/.."
out=${1:-out/personalize}
theriac=${THERIAC:-build/theriac}
model=${MODEL:-models/fashion-sd}
judge=${JUDGE:-models/fashion-clip}
seeds=${SEEDS:-0 1}
subjects=${SUBJECTS:-1 2 3 4}
rate=${RATE:-3e-4}
steps=${STEPS:-300}

bag() { echo "fashion-scenes?split=test&side=64&class=bag&subject=$1"; }
draw='--steps 25 --guidance 3 --batch 32'

mkdir -p "$out"
for place in 'on a pink background' 'on a grey background' 'in front of a brick wall' 'on a wooden floor' 'on green grass' \
    'on a striped yellow background' 'against a purple wall' 'on a tiled floor'; do
    echo "a photo of sks bag $place"
done > "$out/subject.txt"
sed 's/ sks bag/ a bag/' "$out/subject.txt" > "$out/class.txt"

# once FOLDER COMMAND...: makes the folder by a command that takes it as -o, unless it is there
once() {
    folder=$1
    shift
    [ ! -e "$folder" ] || return 0
    rm -rf "$folder.part"
    "$@" -o "$folder.part" -q > /dev/null
    mv "$folder.part" "$folder"
}

# value NAME: of an estimate in the JSON on standard input
value() { sed -n "s/.*\"$1\":\[\([-0-9.e]*\),.*/\1/p"; }

fidelity() { "$theriac" eval images --images "$1" --real "$(bag "$2")&offset=100&count=40" --features "$judge" --json -q | value fidelity; }

# row NAME SUBJECT MODEL SEED SECONDS PROMPTS
row() {
    once "$out/$1-drawn" "$theriac" generate --model "$3" --prompts "$6" --count 4 --seed 9 $draw
    once "$out/$1-class" "$theriac" generate --model "$3" --prompt 'a photo of a bag' --count 48 --seed 10 $draw
    own=$(fidelity "$out/$1-drawn" "$2")
    best=$(for other in $subjects; do [ "$other" = "$2" ] || fidelity "$out/$1-drawn" "$other"; done | sort -g | tail -1)
    diversity=$("$theriac" eval images --images "$out/$1-class" --features "$judge" --json -q | value diversity)
    printf '| %s | %.3f | %.3f | %.3f | %s |\n' "$1" "$own" "$best" "$diversity" "$5"
}

echo '| cell | fidelity | best other bag | diversity of the class | training, s |'
echo '|---|---:|---:|---:|---:|'
for subject in $subjects; do
    row "open-$subject" "$subject" "$model" 0 '' "$out/class.txt"
    for seed in $seeds; do
        for prior in prior alone; do
            cell="bag$subject-$prior-$seed"
            begin=$(date +%s)
            set -- --model "$model" --instances "$(bag "$subject")&count=5" --instance-prompt 'a photo of sks bag' \
                --lr "$rate" --steps "$steps" --batch 4 --seed "$seed"
            [ "$prior" = alone ] || set -- "$@" --class-prompt 'a photo of a bag' --class-count 64 --class-steps 20 \
                --class-guidance 3 --class-batch 32
            once "$out/$cell" "$theriac" personalize dreambooth "$@"
            row "$cell" "$subject" "$out/$cell/model" "$seed" "$(($(date +%s) - begin))" "$out/subject.txt"
        done
    done
done
