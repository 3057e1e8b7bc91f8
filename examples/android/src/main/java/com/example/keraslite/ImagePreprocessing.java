package com.example.keraslite;

import java.util.Locale;

/**
 * Turns the pixels of a picture of any size into the input of a model, as keras_lite does it in training.
 *
 * <p>The picture is scaled, its middle is cut out, and each level from 0 to 255 becomes
 * {@code (level / 255 - mean) / std}. This file needs no Android, so that it can be tested on any machine.
 */
public final class ImagePreprocessing {
    private static final int CHANNELS = 3;

    private final int height;
    private final int width;
    private final int resizeHeight;
    private final int resizeWidth;
    private final boolean keepAspect;
    private final Interpolation interpolation;
    private final double[] mean;
    private final double[] std;

    /**
     * @param imageSize height and width of the model's input in pixels
     * @param resize height and width that a picture is scaled to before its middle is cut out
     * @param keepAspect whether it is scaled until it just covers that size, or each side for itself
     * @param interpolation how it is scaled: bilinear, bicubic or box, which take all pixels into account, nearest, or
     *     bilinear_no_antialias
     * @param mean mean of red, green and blue, of levels scaled to [0, 1]; a single number for a model that takes gray
     * @param std standard deviation of the same
     */
    public ImagePreprocessing(
            int[] imageSize, int[] resize, boolean keepAspect, String interpolation, double[] mean, double[] std) {
        height = imageSize[0];
        width = imageSize[1];
        resizeHeight = resize[0];
        resizeWidth = resize[1];
        if (height < 1 || width < 1 || resizeHeight < height || resizeWidth < width) {
            throw new IllegalArgumentException("Expected a positive size, and one to scale to that is no smaller");
        }
        this.keepAspect = keepAspect;
        this.interpolation = Interpolation.valueOf(interpolation.toUpperCase(Locale.ROOT));
        this.mean = mean.clone();
        this.std = std.clone();
    }

    /**
     * Returns the input of a model that takes floats, of shape (height, width, channels).
     *
     * @param argb the picture's pixels, row by row, as android.graphics.Bitmap.getPixels gives them
     * @param imageWidth the picture's width in pixels
     * @param imageHeight the picture's height in pixels
     */
    public float[] toFloat(int[] argb, int imageWidth, int imageHeight) {
        byte[] levels = levels(argb, imageWidth, imageHeight);
        float[] values = new float[levels.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = normalize(levels[i] & 0xff, i % mean.length);
        }
        return values;
    }

    /**
     * Returns the input of an int8 model, of shape (height, width, channels).
     *
     * @param argb the picture's pixels, row by row
     * @param imageWidth the picture's width in pixels
     * @param imageHeight the picture's height in pixels
     * @param scale the model's step: what one int8 level stands for
     * @param zeroPoint the int8 level that stands for zero
     */
    public byte[] toInt8(int[] argb, int imageWidth, int imageHeight, float scale, int zeroPoint) {
        byte[][] quantized = new byte[mean.length][256];
        for (int channel = 0; channel < mean.length; channel++) {
            for (int level = 0; level < 256; level++) {
                double step = Math.rint(normalize(level, channel) / scale) + zeroPoint;
                quantized[channel][level] = (byte) Math.max(-128, Math.min(127, step));
            }
        }
        byte[] values = levels(argb, imageWidth, imageHeight);
        for (int i = 0; i < values.length; i++) {
            values[i] = quantized[i % mean.length][values[i] & 0xff];
        }
        return values;
    }

    private float normalize(int level, int channel) {
        float factor = (float) (1 / (255 * std[channel]));
        float offset = (float) (mean[channel] / std[channel]);
        return level * factor - offset;
    }

    /** Returns the scaled picture's middle, made gray for a model with one channel. */
    private byte[] levels(int[] argb, int imageWidth, int imageHeight) {
        byte[] levels = resize(argb, imageWidth, imageHeight);
        if (mean.length == CHANNELS) {
            return levels;
        }
        byte[] gray = new byte[height * width];
        for (int i = 0; i < gray.length; i++) {
            int red = levels[i * CHANNELS] & 0xff;
            int green = levels[i * CHANNELS + 1] & 0xff;
            int blue = levels[i * CHANNELS + 2] & 0xff;
            gray[i] = (byte) ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
        }
        return gray;
    }

    /** Scales and keeps the middle, first along the rows, then along the columns; 8-bit red, green, blue, ... */
    private byte[] resize(int[] argb, int imageWidth, int imageHeight) {
        if (imageWidth < 1 || imageHeight < 1 || argb.length != imageWidth * imageHeight) {
            throw new IllegalArgumentException(
                    "Expected " + imageWidth + " x " + imageHeight + " pixels, received " + argb.length);
        }
        int scaledHeight = resizeHeight;
        int scaledWidth = resizeWidth;
        if (keepAspect && (long) imageHeight * resizeWidth <= (long) imageWidth * resizeHeight) {
            scaledWidth = (int) ((long) imageWidth * resizeHeight / imageHeight);
        } else if (keepAspect) {
            scaledHeight = (int) ((long) imageHeight * resizeWidth / imageWidth);
        }
        Filter rows = Filter.ofMiddle(interpolation, imageHeight, scaledHeight, height, keepAspect);
        Filter columns = Filter.ofMiddle(interpolation, imageWidth, scaledWidth, width, keepAspect);

        int firstRow = rows.first[0];
        int lastRow = rows.first[height - 1] + rows.weights[height - 1].length - 1;
        int stride = width * CHANNELS;
        byte[] narrow = new byte[(lastRow - firstRow + 1) * stride];
        int[] line = new int[imageWidth * CHANNELS];
        for (int y = firstRow; y <= lastRow; y++) {
            unpack(argb, y * imageWidth, line);
            for (int x = 0; x < width; x++) {
                for (int channel = 0; channel < CHANNELS; channel++) {
                    long sum = 0;
                    int index = columns.first[x] * CHANNELS + channel;
                    for (int weight : columns.weights[x]) {
                        sum += (long) weight * line[index];
                        index += CHANNELS;
                    }
                    narrow[(y - firstRow) * stride + x * CHANNELS + channel] = Filter.toLevel(sum);
                }
            }
        }

        byte[] levels = new byte[height * stride];
        for (int y = 0; y < height; y++) {
            for (int i = 0; i < stride; i++) {
                long sum = 0;
                int index = (rows.first[y] - firstRow) * stride + i;
                for (int weight : rows.weights[y]) {
                    sum += (long) weight * (narrow[index] & 0xff);
                    index += stride;
                }
                levels[y * stride + i] = Filter.toLevel(sum);
            }
        }
        return levels;
    }

    /** Writes one row as red, green, blue, ...; what is transparent shows white. */
    private static void unpack(int[] argb, int start, int[] line) {
        for (int i = 0; i < line.length; i++) {
            int pixel = argb[start + i / CHANNELS];
            int alpha = pixel >>> 24;
            int level = (pixel >> (16 - 8 * (i % CHANNELS))) & 0xff;
            line[i] = (level * alpha + 255 * (255 - alpha) + 127) / 255;
        }
    }

    /** What a pixel of the result takes from the picture: how much, by the distance, and from how far away. */
    private enum Interpolation {
        BILINEAR(1),
        BICUBIC(2),
        BOX(0.5),
        NEAREST(0),
        BILINEAR_NO_ANTIALIAS(0);

        /** In pixels, of the result where it is smaller than the picture; 0: the filter does not grow with them. */
        final double radius;

        Interpolation(double radius) {
            this.radius = radius;
        }

        double height(double distance) {
            double x = Math.abs(distance);
            if (this == BOX) {
                return -0.5 < distance && distance <= 0.5 ? 1 : 0;
            }
            if (this == BILINEAR) {
                return Math.max(0, 1 - x);
            }
            if (x < 1) {
                return (1.5 * x - 2.5) * x * x + 1;
            }
            return x < 2 ? (((5 - x) * x - 8) * x + 4) * 0.5 : 0;
        }
    }

    /**
     * The filter along one side of the picture: what each pixel of the result takes from which pixels.
     *
     * <p>An antialiased filter grows with the pixels of the result where these are larger than the picture's, so that
     * every pixel counts. Weights are fixed-point numbers and each pass rounds to 8 bits, as on the machine that
     * trained.
     */
    private static final class Filter {
        private static final int FRACTION_BITS = 22;

        /** The first pixel of the picture that counts, for each pixel of the result. */
        final int[] first;

        /** The weights from there on; each row sums to 1, that is to 1 << FRACTION_BITS. */
        final int[][] weights;

        /**
         * @param interpolation the kind of filter
         * @param size pixels of the picture on this side
         * @param start where the part to scale begins, in pixels of the picture
         * @param end where it ends
         * @param scaledSize pixels that this part is scaled to
         * @param skip pixels of them that are left out at the start
         * @param count pixels of the result
         */
        private Filter(
                Interpolation interpolation,
                int size,
                double start,
                double end,
                int scaledSize,
                int skip,
                int count) {
            first = new int[count];
            weights = new int[count][];
            boolean antialias = interpolation.radius > 0;
            // Floats, because there the training side holds the part's borders in 32 bits.
            double begin = antialias ? (float) start : start;
            double scale = (antialias ? (float) end - (float) start : end - start) / scaledSize;
            for (int i = 0; i < count; i++) {
                double center = begin + (skip + i + 0.5) * scale;
                if (antialias) {
                    antialiased(i, interpolation, size, center, Math.max(scale, 1.0));
                } else if (interpolation == Interpolation.NEAREST) {
                    set(i, Math.min(size - 1, (int) Math.floor(center)), 1);
                } else {
                    double place = Math.max(0, Math.min(size - 1, center - 0.5));
                    int before = (int) Math.floor(place);
                    if (before == size - 1) {
                        set(i, before, 1);
                    } else {
                        set(i, before, 1 - (place - before), place - before);
                    }
                }
            }
        }

        private void antialiased(int i, Interpolation interpolation, int size, double center, double step) {
            double radius = interpolation.radius * step;
            int begin = Math.max(0, (int) Math.floor(center - radius + 0.5));
            int stop = Math.min(size, (int) Math.floor(center + radius + 0.5));
            double[] heights = new double[stop - begin];
            double sum = 0;
            for (int j = 0; j < heights.length; j++) {
                heights[j] = interpolation.height((begin + j + 0.5 - center) / step);
                sum += heights[j];
            }
            for (int j = 0; j < heights.length; j++) {
                heights[j] /= sum;
            }
            set(i, begin, heights);
        }

        private void set(int i, int begin, double... shares) {
            first[i] = begin;
            weights[i] = new int[shares.length];
            for (int j = 0; j < shares.length; j++) {
                weights[i][j] = (int) Math.round(shares[j] * (1 << FRACTION_BITS));
            }
        }

        /**
         * Returns the filter that scales a side of {@code size} pixels to {@code scaledSize} and keeps the middle
         * {@code count} of them: cut out before scaling, to a border between pixels, or after.
         */
        static Filter ofMiddle(
                Interpolation interpolation, int size, int scaledSize, int count, boolean cutFirst) {
            int skip = (int) Math.rint((scaledSize - count) / 2.0);
            if (!cutFirst) {
                return new Filter(interpolation, size, 0, size, scaledSize, skip, count);
            }
            double step = (double) size / scaledSize;
            return new Filter(interpolation, size, skip * step, Math.min(size, (skip + count) * step), count, 0, count);
        }

        /** Rounds a weighted sum of levels to a level. */
        static byte toLevel(long sum) {
            return (byte) Math.max(0, Math.min(255, (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS));
        }
    }
}
