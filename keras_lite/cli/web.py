"""Make a web page that shows what a trained model says of photos, in the browser of a phone or a computer.

    keras-lite web RUN [--output_dir FOLDER] [--serve]

RUN is a run folder after `keras-lite quantize` or `keras-lite finetune --quantize`; or a .tflite file of uint8 or
float32 at its ends, with its information file (.json) beside it. The folder `web` in it receives static files, which
any web server shows; the model runs in the browser, and photos stay there. Live camera and use without a connection
need https or localhost, photos do not. LiteRT.js, which runs the model, is fetched by npm once (Node.js has it), and
kept. --serve then shows the page to this machine; other machines reach it with --address 0.0.0.0 alone.
"""

from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.pipelines.web import WebOptions, make_web_page, serve_web_page

FLAGS = command_line.new_flags()
flags.DEFINE_string("output_dir", None, "Where to write. Default: `web` in RUN, or beside the file.", flag_values=FLAGS)
flags.DEFINE_boolean("serve", False, "Show the page until Ctrl+C.", flag_values=FLAGS)
flags.DEFINE_string("address", "127.0.0.1", "With --serve: where to listen.", flag_values=FLAGS)
flags.DEFINE_integer("port", 8000, "With --serve: the port; 0: any.", 0, 65535, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Make one page, and serve it if that is asked for."""
    [model] = command_line.expect(positional, "RUN")
    given = [name for name in ("address", "port") if values[name].present]
    if given and not values.serve:
        raise InputError(f"Expected --{given[0]} together with --serve, received it alone.")
    folder = make_web_page(WebOptions(model, values.output_dir), verbose=1)
    if values.serve:
        serve_web_page(folder, values.address, values.port, verbose=1)
