package com.example.keraslite;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.tensorflow.lite.Interpreter;

/** A model exported by keras_lite: NAME.tflite and NAME.json from the app's assets. */
public final class ImageClassifier implements AutoCloseable {
    private final Interpreter interpreter;
    private final ImagePreprocessing imagePreprocessing;
    private final ModelOutputs modelOutputs;
    private final int outputs;
    private final boolean isInt8;
    private float inputScale;
    private int inputZeroPoint;
    private float outputScale;
    private int outputZeroPoint;

    /**
     * @param assets the app's assets
     * @param name name of both files, without their endings
     * @param threads number of threads that LiteRT may use
     */
    public ImageClassifier(AssetManager assets, String name, int threads) throws IOException, JSONException {
        JSONObject metadata = new JSONObject(readText(assets, name + ".json"));
        JSONObject preprocessing = metadata.getJSONObject("preprocessing");
        JSONObject input = metadata.getJSONObject("input_tensor");
        JSONObject output = metadata.getJSONObject("output_tensor");
        // Where it is missing, pictures are scaled to the size of the input itself.
        JSONArray resize = preprocessing.optJSONArray("resize");
        JSONArray imageSize = preprocessing.getJSONArray("image_size");
        imagePreprocessing =
                new ImagePreprocessing(
                        integers(imageSize),
                        integers(resize == null ? imageSize : resize),
                        preprocessing.optBoolean("keep_aspect", true),
                        preprocessing.optString("interpolation", "bilinear"),
                        numbers(preprocessing.getJSONArray("mean")),
                        numbers(preprocessing.getJSONArray("std")));
        JSONArray names = metadata.getJSONArray("class_names");
        String[] classNames = new String[names.length()];
        for (int i = 0; i < classNames.length; i++) {
            classNames[i] = names.getString(i);
        }
        JSONArray shape = output.getJSONArray("shape");
        outputs = shape.getInt(shape.length() - 1);
        modelOutputs = new ModelOutputs(metadata.getString("output"), classNames, outputs);
        // keras_lite gives int8 files int8 at both ends, and all others float32.
        isInt8 = input.getString("dtype").equals("int8");
        if (isInt8) {
            inputScale = (float) input.getDouble("scale");
            inputZeroPoint = input.getInt("zero_point");
            outputScale = (float) output.getDouble("scale");
            outputZeroPoint = output.getInt("zero_point");
        }
        interpreter = new Interpreter(map(assets, name + ".tflite"), new Interpreter.Options().setNumThreads(threads));
    }

    /**
     * Returns the most probable classes of a picture, the best first, or what else the model returns: see ModelOutputs.
     *
     * @param bitmap the picture, of any size, in memory that the CPU can read (not Bitmap.Config.HARDWARE)
     * @param count how many classes
     */
    public List<ModelOutputs.NamedValue> classify(Bitmap bitmap, int count) {
        return modelOutputs.best(predict(bitmap), count);
    }

    /** Returns the same as text to show, a line each. */
    public String describe(Bitmap bitmap, int count) {
        return modelOutputs.describe(predict(bitmap), count);
    }

    /** Returns the probability of each class or label, a regression's values, or an embedding. */
    public float[] predict(Bitmap bitmap) {
        int width = bitmap.getWidth();
        int height = bitmap.getHeight();
        int[] argb = new int[width * height];
        bitmap.getPixels(argb, 0, width, 0, 0, width, height);
        return modelOutputs.interpret(run(argb, width, height));
    }

    @Override
    public void close() {
        interpreter.close();
    }

    private float[] run(int[] argb, int width, int height) {
        float[] numbers = new float[outputs];
        if (isInt8) {
            byte[] values = imagePreprocessing.toInt8(argb, width, height, inputScale, inputZeroPoint);
            ByteBuffer source = buffer(values.length);
            ByteBuffer result = buffer(numbers.length);
            for (int i = 0; i < values.length; i++) {
                source.put(i, values[i]);
            }
            interpreter.run(source, result);
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = (result.get(i) - outputZeroPoint) * outputScale;
            }
        } else {
            float[] values = imagePreprocessing.toFloat(argb, width, height);
            ByteBuffer source = buffer(values.length * Float.BYTES);
            ByteBuffer result = buffer(numbers.length * Float.BYTES);
            for (int i = 0; i < values.length; i++) {
                source.putFloat(i * Float.BYTES, values[i]);
            }
            interpreter.run(source, result);
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = result.getFloat(i * Float.BYTES);
            }
        }
        return numbers;
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    private static double[] numbers(JSONArray array) throws JSONException {
        double[] values = new double[array.length()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.getDouble(i);
        }
        return values;
    }

    private static int[] integers(JSONArray array) throws JSONException {
        int[] values = new int[array.length()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.getInt(i);
        }
        return values;
    }

    private static String readText(AssetManager assets, String file) throws IOException {
        try (InputStream stream = assets.open(file)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] part = new byte[8192];
            for (int count = stream.read(part); count >= 0; count = stream.read(part)) {
                bytes.write(part, 0, count);
            }
            return bytes.toString(StandardCharsets.UTF_8.name());
        }
    }

    private static ByteBuffer map(AssetManager assets, String file) throws IOException {
        try (AssetFileDescriptor descriptor = assets.openFd(file);
                FileInputStream stream = new FileInputStream(descriptor.getFileDescriptor())) {
            return stream.getChannel()
                    .map(FileChannel.MapMode.READ_ONLY, descriptor.getStartOffset(), descriptor.getDeclaredLength());
        }
    }
}
