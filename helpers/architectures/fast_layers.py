"""Layers that train faster on a CPU, with the variables and (to float tolerance) results of Keras' own."""

import tensorflow as tf
from keras import layers, ops


class PooledConv2D(layers.Conv2D):
    """Convolution with bias and ReLU, and the 2x2 max-pooling after it, in one layer.

    ReLU and adding a bias are monotonic, so they commute with the maximum. Here they and their gradients
    work on the pooled quarter of the numbers. Which of several equal numbers gets the gradient can differ
    only where the gradient of ReLU is zero.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Map (N, H, W, C) to (N, h, w, filters); h and w are half those of the convolution."""
        convolved = self.convolution_op(inputs, self.kernel)
        return self.activation(ops.max_pool(convolved, 2, strides=2) + self.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, filters = super().compute_output_shape(input_shape)
        return batch, height // 2, width // 2, filters


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization of images (N, H, W, C) that trains with TensorFlow's fused kernel."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalize each channel; while training, update the moving statistics as Keras does."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        biased = variance * (
            (count - 1) / count
        )  # the kernel returns the unbiased one, Keras keeps the biased
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs


class PackedDropout(layers.Dropout):
    """Dropout that draws two 16-bit numbers from each random integer in half precision: a third of the time.

    The rate is exact to 2^-17. In float32 it is Keras' dropout, with its masks.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Set numbers to zero at random while training, and scale the others so that the mean is kept."""
        if not training or self.rate == 0 or inputs.dtype == tf.float32:
            return super().call(inputs, training=training)
        size = tf.size(inputs)
        seed = self.seed_generator.next()
        packed = tf.random.stateless_uniform([(size + 1) // 2], seed, None, None, tf.uint32)
        numbers = tf.reshape(tf.reshape(tf.bitcast(packed, tf.uint16), [-1])[:size], tf.shape(inputs))
        num_dropped = round(self.rate * 2**16)  # of the values that a number can have
        is_kept = tf.cast(numbers >= tf.constant(num_dropped, tf.uint16), inputs.dtype)
        return inputs * (is_kept * tf.constant(2**16 / (2**16 - num_dropped), inputs.dtype))
