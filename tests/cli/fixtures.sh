# For cases: pictures with captions and a tiny model to try commands on.

# A folder of twelve pictures, each with its caption beside it.
make_pairs() {
    mkdir "$1"
    n=0
    for file in jpeg_411.jpg jpeg_420.jpg jpeg_cmyk.jpg jpeg_grey.jpg jpeg_ycck.jpg jpeg_turned.jpg png_grey16.png \
        png_palette4.png png_rgb8.png png_rgba8.png png_greya8.png webp_lossy.webp; do
        n=$((n + 1))
        name=$(printf %02d $n)
        cp "$CASES/../data/images/$file" "$1/$name.${file##*.}" || return
        echo "picture number $n, a ${file%%.*}" | tr _ ' ' >"$1/$name.txt"
    done
}

# Options of a new model, and of every training.
tiny='--image-size 16 --patch 8 --width 32 --heads 2 --image-layers 1 --text-layers 1 --projection 32 --context 16 --vocab 530'
quick='--threads 1 --loader-threads 1 --dtype f32'

# A model that knows next to nothing, in the folder; it takes a twentieth of a second.
make_model() {
    make_pairs model-pairs && theriac train clip --data model-pairs $tiny $quick --batch 4 --steps 2 -q -o model-run >model-log &&
        mv model-run/model "$1" && rm -r model-pairs model-run model-log
}
