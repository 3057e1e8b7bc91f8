"""The published latency table on this machine: four networks, original and ours, one image of 224 x 224 pixels.

    python recipes/latency.py --phone_friendly
    python recipes/latency.py --threads 1 --rows mobilenetv3_large/original,mobilenetv3_large/ours
    python recipes/latency.py --precisions float32,int8,stock-int8

The networks of VegFru-292 run in LiteRT with XNNPACK, in turns, so that a change of the machine's speed meets all.
The .tflite files, float32 and int8, stay in --output_dir and are not written again. stock-int8 is what the stock
converter makes of the same network, whose hard-swish XNNPACK does not take. --phone_friendly adds the same
networks with ReLU6 in place of hard-swish and without channel attention, where they have these.

Hardware: any CPU. Expected time: twenty minutes, most of it for writing the files.

Published, in milliseconds on an AMD Ryzen 5 5600H and a MediaTek Dimensity 1000+ (original, ours): MobileNetV3-Large
8.5, 9.0 and 27.0, 26.3; the others stand in the table that is printed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ledger.latency import run_latency

if __name__ == "__main__":
    run_latency(__doc__)
