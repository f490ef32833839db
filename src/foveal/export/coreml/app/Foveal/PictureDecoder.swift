import CoreGraphics
import CoreVideo
import Foundation
import ImageIO

/// From files and frames of the camera to upright pixels.
enum PictureDecoder {
    /// Larger pictures would need more memory than a phone gives one application.
    private static let mostPixels = 50_000_000

    /// Decode a picture file, over white where it is transparent.
    static func decode(_ data: Data) throws -> Pixels {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
        else {
            throw PictureError(errorDescription: "This file is not a picture.")
        }
        if image.width * image.height > mostPixels {
            throw PictureError(errorDescription: "The picture is too large.")
        }
        let about = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let orientation = about?[kCGImagePropertyOrientation] as? Int ?? 1
        return try pixels(of: image).upright(orientation: orientation)
    }

    /// Draw an image into memory. Colour profiles are not looked at, as in training.
    private static func pixels(of image: CGImage) throws -> Pixels {
        let (height, width) = (image.height, image.width)
        let plain = CGColorSpace(name: CGColorSpace.sRGB)
        guard let space = plain,
            let context = CGContext(
                data: nil, width: width, height: height, bitsPerComponent: 8,
                bytesPerRow: 4 * width, space: space,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        else {
            throw PictureError(errorDescription: "There is not enough memory for the picture.")
        }
        let whole = CGRect(x: 0, y: 0, width: width, height: height)
        context.setFillColor(CGColor(srgbRed: 1, green: 1, blue: 1, alpha: 1))
        context.fill(whole)
        context.interpolationQuality = .none
        // Numbers as they stand in the file; grey pictures have no such space and are drawn as is.
        let isColored = image.colorSpace?.model == .rgb
        context.draw((isColored ? image.copy(colorSpace: space) : nil) ?? image, in: whole)
        guard let memory = context.data else {
            throw PictureError(errorDescription: "There is not enough memory for the picture.")
        }
        let bytes = UnsafeRawBufferPointer(start: memory, count: 4 * width * height)
        var data = [UInt8](repeating: 0, count: 3 * width * height)
        for pixel in 0..<(width * height) {
            data[3 * pixel] = bytes[4 * pixel]
            data[3 * pixel + 1] = bytes[4 * pixel + 1]
            data[3 * pixel + 2] = bytes[4 * pixel + 2]
        }
        return Pixels(height: height, width: width, data: data)
    }

    /// Copy a frame of the camera, which has blue, green, red and alpha.
    static func pixels(of buffer: CVPixelBuffer) -> Pixels? {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            return nil
        }
        let (height, width) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetWidth(buffer))
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        var data = [UInt8](repeating: 0, count: 3 * width * height)
        for row in 0..<height {
            let line = base.advanced(by: row * stride).assumingMemoryBound(to: UInt8.self)
            for column in 0..<width {
                let to = 3 * (row * width + column)
                data[to] = line[4 * column + 2]
                data[to + 1] = line[4 * column + 1]
                data[to + 2] = line[4 * column]
            }
        }
        return Pixels(height: height, width: width, data: data)
    }

    /// An image of pixels, to be shown.
    static func image(of pixels: Pixels) -> CGImage? {
        image(pixels.data, height: pixels.height, width: pixels.width, alpha: .none, channels: 3)
    }

    /// An image of an overlay, to be shown.
    static func image(of overlay: Overlay) -> CGImage? {
        image(
            overlay.rgba, height: overlay.height, width: overlay.width, alpha: .last, channels: 4)
    }

    private static func image(
        _ data: [UInt8], height: Int, width: Int, alpha: CGImageAlphaInfo, channels: Int
    ) -> CGImage? {
        guard let provider = CGDataProvider(data: Data(data) as CFData),
            let space = CGColorSpace(name: CGColorSpace.sRGB)
        else {
            return nil
        }
        return CGImage(
            width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 8 * channels,
            bytesPerRow: channels * width, space: space,
            bitmapInfo: CGBitmapInfo(rawValue: alpha.rawValue), provider: provider,
            decode: nil, shouldInterpolate: true, intent: .defaultIntent)
    }
}
