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

. bench/bags.sh

mkdir -p "$out"
contexts 'sks bag' > "$out/subject.txt"
contexts 'a bag' > "$out/class.txt"

# row NAME SUBJECT MODEL SEED SECONDS PROMPTS
row() {
    once "$out/$1-drawn" "$theriac" generate --model "$3" --prompts "$6" --count 4 --seed 9 $draw
    once "$out/$1-class" "$theriac" generate --model "$3" --prompt 'a photo of a bag' --count 48 --seed 10 $draw
    own=$(fidelity "$out/$1-drawn" "$2" | cut -d ' ' -f 1)
    others=$(for other in $subjects; do [ "$other" = "$2" ] || echo "$other"; done)
    diversity=$("$theriac" eval images --images "$out/$1-class" --features "$judge" --json -q |
        sed -n 's/.*"diversity":\[\([-0-9.e]*\),.*/\1/p')
    printf '| %s | %.3f | %.3f | %.3f | %s |\n' "$1" "$own" "$(best "$out/$1-drawn" "$others")" "$diversity" "$5"
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
